"""`sublet qualify`: recordings, hosts and the command line."""

from __future__ import annotations

import json
import re
import sys

import pytest
from click.testing import CliRunner

from _recorded_node import all_reduce, outputs, smi_xml
from sublet.cli import cli
from sublet.errors import InputError
from sublet.qualification.hosts.live import LiveHost
from sublet.qualification.hosts.observing import commands, observe, record, recorded
from sublet.qualification.hosts.protocol import Output
from sublet.qualification.hosts.recorded import RecordedHost
from sublet.qualification.hosts.ssh import SshHost
from sublet.qualification.judging.judge import judge


class MadeUpHost:
    """A node that answers from made-up outputs."""

    name = "node7"

    def __init__(self):
        texts = outputs()
        self.answers = {
            "smi-xml": texts["smi.xml"],
            "smi-topo": texts["topo.txt"],
            "smi-nvlink": texts["nvlink.txt"],
            "ibstat": texts["ibstat.txt"],
        }

    def run(self, argv, timeout_s):
        for command in commands():
            if command.argv == tuple(argv) and command.id in self.answers:
                return Output(0, self.answers[command.id].encode())
        return Output(None, why=f"{argv[0]}: No such file or directory")

    def read(self, path):
        return None

    def now(self):
        return 1_790_000_000.0


def run(*arguments):
    return CliRunner().invoke(cli, ["qualify", *arguments])


def test_a_recording_gives_the_verdict_of_the_machine(tmp_path):
    folder = tmp_path / "case"
    assert record(MadeUpHost(), folder) == 4
    live, kept = observe(MadeUpHost()), recorded(folder)
    assert judge(kept) == judge(live)
    assert RecordedHost(folder).name == "node7"


def test_a_recording_that_was_changed_is_refused(tmp_path):
    folder = tmp_path / "case"
    record(MadeUpHost(), folder)
    file = folder / "smi-xml.out"
    file.write_text(file.read_text().replace("Completed", "Complete?"))
    with pytest.raises(InputError, match="digest"):
        recorded(folder)


def test_a_recording_that_points_outside_itself_is_refused(tmp_path):
    folder = tmp_path / "case"
    record(MadeUpHost(), folder)
    index = folder / "recording.json"
    index.write_text(index.read_text().replace("smi-xml.out", "../secret"))
    with pytest.raises(InputError, match="outside"):
        recorded(folder)


def test_a_folder_that_holds_something_is_not_recorded_into(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match="something in it"):
        record(MadeUpHost(), tmp_path)


def test_a_command_that_is_not_there_or_does_not_end_is_an_answer(tmp_path):
    host = LiveHost()
    assert host.run(("no-such-command-here",), 5).status is None
    slow = host.run((sys.executable, "-c", "import time; time.sleep(30)"), 0.5)
    assert slow.status is None
    assert "did not end" in slow.why
    assert host.read(str(tmp_path / "none")) is None


@pytest.mark.parametrize("target", ["-oProxyCommand=x", "a b", "user@", "x;y", ""])
def test_what_is_no_host_is_refused_before_ssh_sees_it(target):
    with pytest.raises(InputError, match="--host"):
        SshHost(target)


def test_a_directory_of_outputs_is_one_node(tmp_path):
    for name, text in outputs().items():
        (tmp_path / name).write_text(text)
    port = tmp_path / "sys/class/infiniband/mlx5_0/ports/1"
    port.mkdir(parents=True)
    (port / "state").write_text("4: ACTIVE\n")
    (port / "rate").write_text("400 Gb/sec (4X NDR)\n")
    done = run("--recorded", str(tmp_path), "--json")
    told = json.loads(done.output)
    assert done.exit_code == 0
    assert told["kind"] == "recorded node"
    assert told["chip"] == "H100 SXM"
    assert not [each for each in told["findings"] if each["outcome"] == "fail"]


def test_the_document_has_the_fields_that_programs_read(tmp_path):
    file = tmp_path / "anything"
    file.write_text(smi_xml(8, slowdown="Active"))
    done = run("--recorded", str(file), "--json", "--check")
    told = json.loads(done.output)
    assert done.exit_code == 1
    assert set(told) == {"schema", "kind", "chip", "count", "verdict", "findings", "grade", "coverage"}
    assert (told["kind"], told["chip"], told["count"], told["verdict"], told["grade"]) == (
        "nvidia-smi -q -x",
        "H100 SXM",
        8,
        "critical",
        "F",
    )
    assert {"check", "outcome", "severity", "message"} <= set(told["findings"][0])


def test_a_person_reads_the_gravest_first(tmp_path):
    file = tmp_path / "anything"
    file.write_text(smi_xml(8, slowdown="Active"))
    lines = run("--recorded", str(file)).output.splitlines()
    assert lines[0].startswith("critical")
    assert "gpu.throttle" in lines[1]


def test_garbage_and_nothing_are_unknown_and_never_a_traceback(tmp_path):
    for name, content in (("empty", b""), ("garbage", bytes(range(256)) * 20), ("text", b"hello\n")):
        file = tmp_path / name
        file.write_bytes(content)
        done = run("--recorded", str(file), "--json", "--check")
        assert done.exit_code == 3
        assert json.loads(done.output)["verdict"] == "unknown"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--recorded", "/no/such/file"),
        ("--recorded", "x", "--host", "y"),
        ("--host", "-x"),
        ("--recorded", "x", "--as", "??"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments):
    done = run(*arguments)
    assert isinstance(done.exception, InputError)
    assert "\n" not in str(done.exception)


def test_the_page_draws_the_curve_and_its_reference_and_fetches_nothing(tmp_path):
    place, page = tmp_path / "run.log", tmp_path / "report.html"
    place.write_text(all_reduce({128: 130.0, 1024: 300.0, 2048: 440.0, 8192: 470.0}))
    done = CliRunner().invoke(cli, ["qualify", "--recorded", str(place), "--html", str(page)])
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert text.count("<circle") == 4
    assert 'class="reference"' in text
    assert "128 MiB: 130 GB/s" in text
    assert "perf.allreduce_inter" in text
    assert not re.search(r"(?:src|href)\s*=|url\(|@import", text)


def test_the_page_escapes_what_a_recording_says(tmp_path):
    place, page = tmp_path / "x.txt", tmp_path / "report.html"
    place.write_text("GPU 0: <script>alert(1)</script> (UUID: GPU-0)\n\t Link 0: <b>x</b> GB/s\n")
    assert CliRunner().invoke(cli, ["qualify", "--recorded", str(place), "--html", str(page)]).exit_code == 0
    assert "<script>alert" not in page.read_text()
