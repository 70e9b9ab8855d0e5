"""Remedies over a made-up host: tried in order, kept where they help, undone where not, put back at the end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from _made_host import VIRTUAL, dump

from _recorded_node import ports, smi_xml
from sublet.errors import InputError
from sublet.qualification.hosts.live import LiveHost
from sublet.qualification.hosts.protocol import Output
from sublet.qualification.judging.catalogue import checks
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read
from sublet.qualification.tuning.carry_out import carry_out, restore
from sublet.qualification.tuning.environment import environment
from sublet.qualification.tuning.journal import Journal
from sublet.qualification.tuning.plan import Situation, plan, remedies

FREE = Situation(root=True, virtual=False, idle=True)


class Node:
    """Eight GPUs with a persistence mode each, and files. `deaf`: commands that change nothing."""

    name = "made up"

    def __init__(self, root, deaf=(), broken=()):
        self.modes = ["Disabled"] * 8
        self.modes[0] = "Enabled"
        self.root, self.deaf, self.broken = root, deaf, broken
        self.ran = []
        self.put("proc/sys/kernel/numa_balancing", "1")

    def put(self, path, value):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(value + "\n")

    def run(self, argv, timeout_s):
        self.ran.append(tuple(argv))
        if any(word in " ".join(argv) for word in self.broken):
            return Output(1, err=b"Insufficient Permissions\n")
        if argv[0] == "nvidia-smi" and "-pm" in argv:
            if "-pm" not in self.deaf:
                self.modes[int(argv[2])] = "Enabled" if argv[-1] == "1" else "Disabled"
            return Output(0)
        if argv[:2] == ("nvidia-smi", "--query-gpu=persistence_mode"):
            return Output(0, "\n".join(self.modes).encode())
        if argv[0] == "sh":  # files, under the root of this node
            path = argv[-1] if argv[-1].startswith(str(self.root)) else f"{self.root}{argv[-1]}"
            there = [*argv[:-1], path]
            return LiveHost().run(there, timeout_s)
        return Output(None, why="not there")

    def read(self, path):
        return LiveHost().read(f"{self.root}{path}")

    def now(self):
        return LiveHost().now()

    def findings(self):
        mode = "Enabled" if set(self.modes) == {"Enabled"} else "Disabled"
        value = (self.root / "proc/sys/kernel/numa_balancing").read_text().strip()
        texts = (smi_xml(8, persistence=mode), dump(**{"/proc/sys/kernel/numa_balancing": value}))
        return judge([read(text) for text in texts]).findings


@pytest.fixture
def place(tmp_path):
    return tmp_path / "journal.jsonl"


def carried(node, place):
    return carry_out(plan(node.findings(), FREE), node, Journal(place), node.findings)


def states(done):
    return {each.remedy: each.state for each in done}


def test_every_remedy_mends_a_check_of_the_catalogue_and_has_a_way_back_or_is_told():
    for remedy in remedies():
        assert remedy.check in checks()
        assert remedy.told or remedy.path or remedy.undo or remedy.id == "fabric-manager"
        assert set(remedy.needs) <= {"root", "bare", "idle"}


def test_a_plan_keeps_the_order_of_the_table_and_changes_nothing(tmp_path):
    node = Node(tmp_path)
    steps = plan(node.findings(), FREE)
    assert [step.remedy.id for step in steps] == ["persistence", "numa-balancing"]
    assert node.ran == []


@pytest.mark.parametrize(
    ("situation", "words"),
    [(Situation(False, False, True), "root"), (Situation(None, None, None), "root")],
)
def test_what_may_not_be_done_is_refused_and_says_why(tmp_path, place, situation, words):
    node = Node(tmp_path)
    done = carry_out(plan(node.findings(), situation), node, Journal(place), node.findings)
    assert {each.state for each in done} == {"refused"}
    assert all(words in each.said for each in done)
    assert node.ran == []


def test_a_virtual_machine_is_not_given_its_hosts_governor():
    governor = {"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave"}
    findings = judge([read(dump(**VIRTUAL, **governor))]).findings
    (step,) = plan(findings, Situation(root=True, virtual=True, idle=True))
    assert "virtual machine" in step.refused


def test_what_helps_is_kept_and_put_back_at_the_end(tmp_path, place):
    node = Node(tmp_path)
    done = carried(node, place)
    assert states(done) == {"persistence": "kept", "numa-balancing": "kept"}
    assert all(each.before != each.after for each in done)
    assert set(node.modes) == {"Enabled"}
    restore(node, Journal(place))
    assert node.modes == ["Enabled"] + ["Disabled"] * 7
    assert (tmp_path / "proc/sys/kernel/numa_balancing").read_text() == "1\n"
    assert Journal(place).open_entries() == []


def test_what_does_not_help_is_undone(tmp_path, place):
    node = Node(tmp_path, deaf=("-pm",))
    assert states(carried(node, place))["persistence"] == "rolled back"


def test_a_command_that_fails_is_undone_and_one_that_cannot_be_undone_is_stuck(tmp_path, place):
    node = Node(tmp_path, broken=("-pm",))
    (persistence,) = [each for each in carried(node, place) if each.remedy == "persistence"]
    assert persistence.state == "stuck"
    assert "Insufficient Permissions" in persistence.said
    node.broken = ()
    restore(node, Journal(place))
    assert Journal(place).open_entries() == []


def test_the_way_back_is_on_the_disk_before_the_change(tmp_path, place):
    class Killed(Exception):
        pass

    class Dying(Node):
        def run(self, argv, timeout_s):
            if "-pm" in argv:
                assert json.loads(place.read_text().splitlines()[-1])["state"] == "applying"
                super().run(argv, timeout_s)
                raise Killed
            return super().run(argv, timeout_s)

    node = Dying(tmp_path)
    with pytest.raises(Killed):
        carried(node, place)
    alive = Node(tmp_path)
    alive.modes = ["Enabled"] * 8
    restore(alive, Journal(place))
    assert alive.modes == ["Enabled"] + ["Disabled"] * 7


def test_what_cannot_be_read_is_not_changed(tmp_path, place):
    node = Node(tmp_path)
    findings = node.findings()
    (tmp_path / "proc/sys/kernel/numa_balancing").unlink()
    step = [each for each in plan(findings, FREE) if each.remedy.id == "numa-balancing"]
    (done,) = carry_out(step, node, Journal(place), node.findings)
    assert (done.state, place.exists()) == ("refused", False)


def test_a_journal_that_is_none_is_refused_and_a_line_that_broke_off_is_left_out(place):
    place.write_text('{"number": 1}\n{"x"\n')
    with pytest.raises(InputError, match=r"journal.jsonl:1"):
        Journal(place)
    place.write_text('{"number": 1, "rem')
    assert Journal(Path(place)).entries == []


def test_the_environment_names_the_cards_of_the_compute_fabric_and_forces_nothing():
    mixed = ports(8) + ports(2).replace("mlx5_", "mlx5_s").replace("MT4129", "MT4125").replace("400", "100")
    made = environment([read(mixed), read(dump())], Context())
    ((name, value, _),) = made.variables
    assert name == "NCCL_IB_HCA"
    assert value == "=" + ",".join(f"mlx5_{index}:1" for index in range(8))
    assert "NUMA" in made.hints[0]
    assert environment([read(ports(8))], Context()).shell() == ""
    assert not re.search("NCCL_ALGO|NCCL_PROTO", made.shell())
