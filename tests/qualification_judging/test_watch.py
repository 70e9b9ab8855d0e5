"""The passive watch over a made-up tree: what changes between rounds is found, and nothing is started."""

from __future__ import annotations

import json
import subprocess

import pytest
from click.testing import CliRunner

from sublet.cli import cli
from sublet.qualification.hosts.watch import Watcher

XID = "3,1234,88123456789,-;NVRM: Xid (PCI:0000:9b:00): 79, pid=1, name=x, GPU has fallen off the bus.\n"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 60.0
        return self.now


class Library:
    """NVML's functions that the watch calls; the second GPU supports little."""

    def __init__(self):
        self.uncorrected, self.replays = 0, 100

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetTotalEccErrors(self, handle, kind, span):
        assert (kind, span) == (1, 0)
        if handle:
            raise RuntimeError("Not Supported")
        return self.uncorrected

    def nvmlDeviceGetPcieReplayCounter(self, handle):
        return self.replays

    def nvmlDeviceGetRemappedRows(self, handle):
        return (0, 0, 0, 0)


@pytest.fixture
def tree(tmp_path):
    def put(path, content):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{content}\n")

    for index in range(8):
        at = f"sys/class/infiniband/mlx5_{index}"
        put(f"{at}/hca_type", "MT4129")
        for name, value in (("state", "4: ACTIVE"), ("phys_state", "5: LinkUp"), ("rate", "400 Gb/sec (4X NDR)")):
            put(f"{at}/ports/1/{name}", value)
        put(f"{at}/ports/1/counters/link_downed", 7)
    put("sys/bus/pci/devices/0000:9b:00.0/vendor", "0x10de")
    put("sys/bus/pci/devices/0000:9b:00.0/class", "0x030200")
    put("sys/bus/pci/devices/0000:9b:00.0/aer_dev_fatal", "Undefined 0\nTOTAL_ERR_FATAL 0")
    put("dev/kmsg", "")
    return tmp_path, put


def bad(seen):
    return {each.check: each.severity for each in seen.bad}


def test_a_quiet_node_has_no_failure_round_after_round(tree):
    watcher = Watcher(tree[0], Library(), Clock())
    rounds = [watcher.round() for _ in range(3)]
    assert [bad(each) for each in rounds] == [{}, {}, {}]
    assert rounds[0].counters == 8 + 1 + 5


@pytest.mark.parametrize(
    ("path", "content", "wanted"),
    [
        ("sys/class/infiniband/mlx5_3/ports/1/counters/link_downed", 8, {"ib.flap": "WATCH"}),
        ("sys/class/infiniband/mlx5_3/ports/1/state", "1: DOWN", {"ib.ports": "ISOLATE"}),
        ("sys/bus/pci/devices/0000:9b:00.0/aer_dev_fatal", "TOTAL_ERR_FATAL 1", {"pcie.errors": "WATCH"}),
        ("dev/kmsg", XID, {"xid": "REBOOT"}),
    ],
)
def test_what_changes_between_two_rounds_is_found(tree, path, content, wanted):
    root, put = tree
    watcher = Watcher(root, None, Clock())
    watcher.round()
    if path.endswith("kmsg"):
        with (root / path).open("a") as log:
            log.write(content)
    else:
        put(path, content)
    assert bad(watcher.round()) == wanted


def test_an_uncorrected_error_of_the_drivers_library_is_found(tree):
    library = Library()
    watcher = Watcher(tree[0], library, Clock())
    watcher.round()
    library.uncorrected = 1
    assert bad(watcher.round()) == {"ecc.uncorrectable": "RESET"}
    library.replays = 400
    assert bad(watcher.round()) == {"pcie.replays": "WATCH"}


def test_a_round_starts_no_process_and_is_cheap(tree, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    watcher = Watcher(tree[0], Library(), Clock())
    watcher.round()
    assert watcher.round().cpu_s < 0.6  # one hundredth of a core over sixty seconds


def test_an_empty_machine_is_watched_without_a_word(tmp_path):
    watcher = Watcher(tmp_path, None, Clock())
    assert [watcher.round().findings, watcher.round().findings] == [(), ()]
    watcher.close()


def test_the_command_prints_one_line_a_round():
    done = CliRunner().invoke(cli, ["qualify", "watch", "--every", "0.1", "--times", "2"])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["schema"] for line in done.output.splitlines()] == ["sublet.qualification.round/1"] * 2
