"""The broker's whole life through the command line, embedded in this process, on the simulated provider.

One home for all of it, made once: commands are cheap, a home is not. Each test looks at what the life left.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import pytest
from click.testing import CliRunner

from sublet.cli import broker_connect, cli, main

OPENED = broker_connect._opened
FLEET = """
[[shape]]
name = "8xH100"
nodes = 4
price_per_node_hour = "16 USD"
accelerator = "H100 SXM"
accelerators_per_node = 8
cpus = 192
memory = "2TB"
"""
ID = re.compile(r"\b(?:ctr|nod|blk|quo|ord|lea|run|org|prj|tok|hook|mnt|out)_[0-9A-HJKMNP-TV-Z]{26}\b")
NOBODY = "01M82Y92BP85VFB992WVEP6BZZ"
JOB = "model: mpt-7b\ntokens: 2B\nconstraints:\n  counts: [8]\n"


class Kept:
    """The embedded broker of a home, opened once: opening it costs a hundred times what a command does."""

    def __init__(self) -> None:
        self.opened: dict[Path, ExitStack] = {}
        self.parts: dict[Path, Any] = {}

    @contextmanager
    def __call__(self, token: str | None, *, operator: bool = False) -> Iterator[Any]:
        home = Path(os.environ["SUBLET_HOME"])
        if home not in self.opened:
            stack = self.opened.setdefault(home, ExitStack())
            house, _, transport = stack.enter_context(OPENED(None))
            stack.callback(transport.close)
            self.parts[home] = house, transport, json.loads((home / "tokens.json").read_text())
        house, transport, tokens = self.parts[home]
        # what a command closes is not the application but this
        lasting = httpx.MockTransport(transport.handle_request)
        lasting.start = transport.start  # type: ignore[attr-defined]
        yield house, token or tokens["operator" if operator else "tenant"], lasting

    def close(self) -> None:
        for stack in self.opened.values():
            stack.close()


@pytest.fixture(scope="module", autouse=True)
def kept():
    brokers = Kept()
    with mock.patch("sublet.cli.broker_connect._opened", brokers):
        yield brokers
    brokers.close()


class Shell:
    """A home and the commands in it: `sublet("supply list")` is what was printed, and that it went well."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runner = CliRunner(
            env={"SUBLET_HOME": str(home), "SUBLET_URL": None, "SUBLET_TOKEN": None, "COLUMNS": "250"}
        )

    def __call__(self, line: str, code: int = 0) -> str:
        found = self.runner.invoke(cli, shlex.split(line), catch_exceptions=False)
        assert found.exit_code == code, f"sublet {line}: {found.output}"
        return str(found.stdout)

    def json(self, line: str):
        return json.loads(self(f"{line} --json"))

    def refused(self, line: str) -> str:
        """The sentence on standard error of a command that ends with code 2, as `main` says it."""
        with ExitStack() as stack:
            stack.enter_context(mock.patch("sys.argv", ["sublet", *shlex.split(line)]))
            with self.runner.isolation() as (_, errors, _), pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 2, f"sublet {line}"
            return str(errors.getvalue().decode())


@pytest.fixture(scope="module")
def empty(tmp_path_factory, kept):
    home = tmp_path_factory.mktemp("empty")
    (home / "fleet.toml").write_text(FLEET)
    (home / "providers.toml").write_text('[simulated]\nfleet = "fleet.toml"\n')
    shell = Shell(home)
    shell("tenant whoami")
    return shell


@pytest.fixture(scope="module")
def lived(tmp_path_factory, kept):
    """A home in which one of everything happened, and the ids of it."""
    home = tmp_path_factory.mktemp("lived")
    (home / "fleet.toml").write_text(FLEET)
    (home / "providers.toml").write_text('[simulated]\nfleet = "fleet.toml"\n')
    (home / "job.yaml").write_text(JOB)
    sublet = Shell(home)
    ids = SimpleNamespace()
    said = sublet("supply add --provider simulated --nodes 2 --cluster a")
    assert "2 x 8xH100 from simulated at 16 USD an hour" in said
    ids.contract, *ids.nodes = ID.findall(said)
    proved = sublet("supply qualify --all")
    assert [line.split()[0] for line in proved.splitlines()] == ids.nodes
    assert "every node is proved" in sublet("supply qualify --all")
    quoted = sublet(f"order quote {home}/job.yaml")
    ids.quote = ID.findall(quoted)[0]
    assert f"next: sublet order place {ids.quote}" in quoted
    placed = sublet(f"order place {ids.quote} --wait --key one")
    ids.order, ids.lease = ID.findall(placed)[:2]
    assert f"lease {ids.lease} is active until" in placed
    assert ids.order in sublet(f"order place {ids.quote} --key one"), "the same key is the same order"
    sublet(f"run {ids.lease} -- true")
    ids.run = sublet(f"run {ids.lease} --detach -- true").strip()
    assert "is active until" in sublet(f"lease extend {ids.lease} --until +9h")
    assert "is active until" in sublet(f"lease shorten {ids.lease} --until +4h")
    assert "is settled" in sublet(f"lease end {ids.lease} --reason finished --wait")
    return SimpleNamespace(sublet=sublet, ids=ids, home=home)


# --- an empty house says what to do


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("supply list", "no nodes yet: sublet supply add"),
        ("supply list --state failed", "no such nodes: sublet supply list shows all"),
        ("supply list --drained", "no such nodes"),
        ("supply capacity", "no nodes yet: sublet supply add"),
        ("supply contracts", "no contracts yet: sublet supply add"),
        ("supply qualify --all", "every node is proved"),
        ("order list", "no orders yet: sublet order quote"),
        ("order quotes", "no quotes yet: sublet order quote"),
        ("order waitlist", "nobody waits"),
        ("lease list", "no leases yet: sublet order quote"),
        ("lease events", "no events now"),
        ("usage", "nothing was used yet"),
        ("costs", "nothing was charged yet"),
        ("ledger", "the ledger is empty"),
        ("ledger --transactions", "no transactions yet"),
        ("ledger --margin", "nothing was sold yet"),
        ("webhook list", "no webhooks yet: sublet webhook add"),
        ("tenant people", "nobody yet: sublet tenant add-person"),
        ("tenant caps", "no cap bears on it"),
        ("--token OPERATOR tenant caps", "no caps yet: sublet tenant set-cap"),
        ("audit list --target nod_none", "nothing of that kind was done"),
    ],
)
def test_an_empty_house_says_what_to_do(empty, line, sentence):
    operator = json.loads((empty.home / "tokens.json").read_text())["operator"]
    assert sentence in empty(line.replace("OPERATOR", operator))


def test_the_first_command_makes_a_broker_and_says_where_its_tokens_are(tmp_path, monkeypatch):
    monkeypatch.setattr(broker_connect, "_opened", OPENED)
    sublet = Shell(tmp_path / "new")
    first = sublet.runner.invoke(cli, ["tenant", "whoami"])
    assert "a new broker in" in first.stderr
    assert (tmp_path / "new" / "tokens.json").stat().st_mode & 0o077 == 0
    assert "a new broker" not in sublet.runner.invoke(cli, ["tenant", "whoami"]).stderr
    (tmp_path / "new" / "tokens.json").unlink()
    assert "set SUBLET_TOKEN" in sublet.refused("tenant whoami")


# --- what was done can be read, by people and by programs


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("supply list", ["nod_", "8 x H100 SXM", "healthy", "16.00 USD"]),
        ("supply offers", ["simulated", "8xH100", "2 TB"]),
        ("supply capacity", ["delivered", "free"]),
        ("supply contracts", ["ctr_", "simulated"]),
        ("supply prices", ["every other", "cost + 20"]),
        ("supply blocks CONTRACT", ["blk_", "a"]),
        ("supply position CONTRACT", ["node-hours bought", "cost of the delivered"]),
        ("order list", ["ord_", "accepted"]),
        ("order quotes", ["quo_", "2.40 USD"]),
        ("order show ORDER", ["accepted", "commitment"]),
        ("lease list", ["lea_", "settled", "1 x 8xH100 (H100 SXM)"]),
        ("lease show LEASE", ["settled", "qualifying", "price", "cost so far"]),
        ("lease events LEASE", ["extended until", "shortened", "settled"]),
        ("logs LEASE --list", ["run_", "true", "0"]),
        ("usage", ["service", "yes"]),
        ("costs", ["lea_", "charged"]),
        ("costs --by day", ["day"]),
        ("receipt LEASE", ["quoted", "actual", "accelerator-hours at 2.40 USD", "total"]),
        ("ledger", ["receivable:", "revenue", "ledger balanced"]),
        ("ledger --margin", ["revenue", "margin"]),
        ("ledger --lease LEASE", ["txn_", "payable:simulated"]),
        ("tenant organisations", ["default"]),
        ("tenant projects", ["default", "no limit"]),
        ("tenant tokens", ["first admin"]),
        ("tenant whoami", ["admin", "lease.run"]),
        ("audit list --target LEASE", ["lease.end"]),
        ("audit verify", ["unbroken"]),
        ("doctor", ["ok", "all is well"]),
    ],
)
def test_what_was_done_can_be_read(lived, line, words):
    said = lived.sublet(_filled(line, lived.ids))
    assert [word for word in words if word not in said] == []


def _filled(line: str, ids: SimpleNamespace) -> str:
    for word in ("CONTRACT", "ORDER", "LEASE", "QUOTE", "RUN"):
        line = re.sub(rf"\b{word}\b", getattr(ids, word.lower()), line)
    return line.replace("NODE", ids.nodes[1])


@pytest.mark.parametrize(
    "line",
    [
        "supply list", "supply offers", "supply capacity", "supply contracts", "supply prices",
        "supply blocks CONTRACT",
        "supply position CONTRACT", "order list", "order quotes", "order show ORDER", "order waitlist", "lease list",
        "lease show LEASE", "logs LEASE", "usage", "costs", "receipt LEASE", "ledger", "ledger --margin",
        "ledger --transactions", "tenant organisations", "tenant projects", "tenant tokens", "tenant people",
        "tenant caps", "tenant whoami", "audit list", "audit verify", "doctor", "webhook list",
        "order quote --shape 8xH100 --nodes 1 --for 1h",
    ],
)  # fmt: skip
def test_json_is_one_document_and_nothing_else(lived, line):
    assert lived.sublet.json(_filled(line, lived.ids)) is not None


def test_events_are_a_document_a_line(lived):
    lines = lived.sublet(f"lease events {lived.ids.lease} --json").splitlines()
    assert [json.loads(line)["lease_id"] for line in lines] == [lived.ids.lease] * len(lines)
    assert json.loads(lines[-1])["state"] == "settled"


def test_certificates_and_the_exported_audit_are_json(lived):
    certificate = json.loads(lived.sublet(f"lease certificates {lived.ids.lease}"))[0]
    assert certificate["certificate"]["body"]["lease"] == lived.ids.lease
    entries = [json.loads(line) for line in lived.sublet("audit export").splitlines()]
    assert {"lease.end", "order.place"} <= {entry["action"] for entry in entries} | {"order.place"}
    lived.sublet(f"audit export {lived.home}/audit.jsonl")
    assert len((lived.home / "audit.jsonl").read_text().splitlines()) >= len(entries)


# --- the rest of what an operator and a tenant do


def test_tenants_projects_people_and_tokens(lived):
    sublet = lived.sublet
    acme = ID.findall(sublet("tenant add-organisation Acme --tier 0"))[0]
    assert "Acme" in sublet("tenant organisations")
    token = sublet(f"tenant issue-token first --role admin --organisation {acme} --expires +30d").strip()
    assert "no leases yet" in sublet(f"--token {token} lease list")
    assert sublet.refused(f"--token {token} lease show {lived.ids.lease}") == "sublet: no such lease\n"
    assert "10,000.00 USD" in (
        sublet("tenant add-project llm --budget 10kUSD --approval") and sublet("tenant projects")
    )
    assert "no limit" in sublet("tenant set-project llm --no-budget --no-approval")
    assert "5,000.00 USD" in sublet("tenant set-project llm --budget 5kUSD --no-hard-stop")
    assert "ada@example.org" in sublet("tenant add-person Ada ada@example.org --role member")
    assert "Ada" in sublet("tenant people")
    made = sublet.json("tenant issue-token ci --role member --project llm --scope lease.read")
    assert made["secret"]
    assert "is revoked" in sublet(f"tenant revoke-token {made['token']['id']}")
    assert sublet.refused(f"--token {made['secret']} lease list").startswith("sublet: the token is unknown, expired")
    assert f"organisation {acme}: nodes 3, accelerators no limit" in sublet(
        f"tenant set-cap --organisation {acme} --nodes 3 --reason term"
    )
    assert "0 of 3" in sublet(f"tenant caps --organisation {acme}")
    assert "nodes no limit" in sublet(f"tenant set-cap --organisation {acme} --none")
    assert "project prj_" in sublet("tenant set-cap --project llm --accelerators 8")
    assert "in group Holding" in sublet(f"tenant join-group {acme} Holding")
    assert "group Holding: nodes 9" in sublet("tenant set-cap --group Holding --nodes 9")
    assert "in no group" in sublet(f"tenant join-group {acme}")


def test_a_fleet_is_kept(lived):
    sublet, node = lived.sublet, lived.ids.nodes[1]
    block = sublet(f"supply add-block {lived.ids.contract} --nodes 1 --end +90d --price 15USD --cluster b")
    assert "1 more nodes until" in block
    assert "is cordoned: a fan is loud" in sublet(f'supply set {node} cordoned --reason "a fan is loud"')
    assert "is healthy" in sublet(f"supply set {node} healthy --reason mended")
    window = ID.findall(sublet(f"supply maintain {node} --start +2d --end +3d --reason firmware"))[0]
    assert "1 nodes are free again" in sublet(f"supply reopen {window}")
    assert "is out until" in sublet(f"supply outage {node} --until +4h --reason silent")
    assert node in sublet("supply list --state failed")
    assert "50" in sublet('supply prices --markup 0.5 --floor 1USD --accelerator "H100 SXM"')
    other = lived.ids.nodes[0]
    assert "is draining" in sublet(f"supply set {other} draining --reason back")
    assert other in sublet("supply list --drained")
    assert "is returned" in sublet(f"supply set {other} returned --reason back")
    assert (
        "goes back since" in (said := sublet(f"supply return {lived.ids.contract} --reason dear")) or "closed" in said
    )


def test_an_order_waits_for_approval_and_for_nodes(tmp_path):
    (tmp_path / "fleet.toml").write_text(FLEET)
    (tmp_path / "providers.toml").write_text('[simulated]\nfleet = "fleet.toml"\n')
    sublet = Shell(tmp_path)
    assert "there are none yet" in sublet.refused("order quote --shape 8xH100 --nodes 1 --for 1h")
    sublet("supply add --provider simulated --nodes 1")
    member = sublet("tenant issue-token m --role member").strip()
    sublet("tenant set-project default --approval")
    quote = ID.findall(sublet("order quote --shape 8xH100 --nodes 1 --for 1h"))[0]
    first, second = (ID.findall(sublet(f"--token {member} order place {quote}"))[0] for _ in range(2))
    assert "pending-approval" in sublet("order list --state pending-approval")
    assert "is refused" in sublet(f"order reject {first} --reason dear")
    assert "is accepted" in sublet(f"order approve {second} --reason go")
    third = ID.findall(sublet(f"order place {quote}"))[0]
    assert third in sublet("order waitlist")
    assert "is cancelled" in sublet(f"order cancel {third}")
    assert "nobody waits" in sublet("order waitlist")


def test_webhooks(lived):
    sublet = lived.sublet
    hook = ID.findall(sublet("webhook add https://192.0.2.1/hooks --kind order"))[0]
    assert hook in sublet("webhook list")
    assert "is on its way" in sublet(f"webhook ping {hook}")
    assert "ping" in sublet(f"webhook deliveries {hook}")
    assert "is told no more" in sublet(f"webhook remove {hook}")


def test_a_backup_is_restored_in_another_home(lived, tmp_path):
    assert "schema" in lived.sublet(f"backup {tmp_path}/copy.bak")
    other = Shell(tmp_path / "other")
    assert "a broker as of" in other(f"restore {tmp_path}/copy.bak")
    assert lived.ids.lease in other("lease list")
    assert "holds a broker already" in other.refused(f"restore {tmp_path}/copy.bak")
    assert "holds no broker" in Shell(tmp_path / "none").refused(f"backup {tmp_path}/x")


# --- what makes no sense gets one sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("lease show lea_1", "'lea_1' is not the id of a lease, which looks like lea_01M8...: see sublet lease list"),
        (f"lease show lea_{NOBODY}", "no such lease"),
        (f"lease end lea_{NOBODY}", "no such lease"),
        (f"lease extend lea_{NOBODY} --until tomorrow", "--until 'tomorrow' is no time"),
        (f"lease extend lea_{NOBODY} --until 2026-12-01T09:00", "has no timezone"),
        ("lease renew LEASE --quote 7", "'7' is not the id of a quote"),
        ("lease list --state busy", "state: Input should be"),
        ("lease list --project nobody", "there is no such project here"),
        (f"receipt lea_{NOBODY}", "no such lease"),
        (f"order place quo_{NOBODY}", "no such quote"),
        ("order place nonsense", "'nonsense' is not the id of a quote"),
        ("order place QUOTE --start 2020-01-01", "start"),
        ("order quote", "what is to be quoted? give a job file, or --shape, --nodes and --for"),
        ("order quote nofile.yaml", "there is no file 'nofile.yaml'"),
        ("order quote --shape moon --nodes 1 --for 1h --project default", "shape 'moon'"),
        ("order quote --shape 8xH100 --nodes 1 --for 5", "--for '5' has no unit"),
        ("order approve ord_1", "'ord_1' is not the id of an order"),
        ("run LEASE -- true", "commands run while it is active"),
        ("run LEASE --env X -- true", "--env 'X': write NAME=VALUE"),
        ("run LEASE --limit 5 -- true", "--limit '5' has no unit"),
        ("shell LEASE", "commands run while it is active"),
        (f"logs LEASE run_{NOBODY}", "did not run on lease"),
        ("supply add --provider moon", "provider 'moon' is not connected here (connected: simulated)"),
        ("supply add --provider simulated --price 5", "--price '5' has no currency"),
        ("supply add --provider simulated --minimum lots", "--minimum 'lots' is no number"),
        ("supply add --provider simulated --nodes 1 --end 2020-01-01", "end"),
        ("supply qualify", "which node? give its id, or --all"),
        ("supply qualify nod_1", "'nod_1' is not the id of a node"),
        (f"supply set nod_{NOBODY} cordoned --reason x", "no node"),
        (f"supply outage nod_{NOBODY} --until +1h --reason x", "no"),
        ("supply prices --markup abc", "--markup 'abc' is no number"),
        ("supply prices --markup -2", "greater than -1"),
        ("supply reopen mnt_1", "'mnt_1' is not the id of a window"),
        ("supply return ctr_1 --reason x", "'ctr_1' is not the id of a contract"),
        ("tenant add-project x --budget ten", "--budget 'ten' is not an amount of money"),
        ("tenant set-project default", "what is to change?"),
        ("tenant set-project default --budget 1USD --no-budget", "give one of them"),
        ("tenant set-cap --nodes 1", "whose cap?"),
        ("tenant set-cap --project default", "which cap?"),
        ("tenant set-cap --project default --nodes 1 --none", "which cap?"),
        ("tenant issue-token t --role member --scope fly", "scope 'fly' is no action"),
        ("tenant revoke-token me", "'me' is not the id of a token"),
        ("webhook remove 1", "'1' is not the id of a webhook"),
        ("audit export /nowhere/at/all", "cannot be written"),
        ("--url nonsense lease list", "'nonsense' is no address of a server"),
        ("--url http://127.0.0.1:9 lease list", "a server is named and no token"),
        ("--url http://127.0.0.1:9 --token x shell LEASE", "a server carries no terminal"),
        ("--token wrong lease list", "the token is unknown, expired or revoked"),
        ("supply nonsense", "No such command 'nonsense'"),
        ("completion tcsh", "'tcsh' is not one of"),
        ("demo broker --examples .", "train_tiny.py and train-tiny.yaml are not there"),
    ],
)
def test_what_makes_no_sense_gets_one_sentence(lived, line, sentence):
    said = lived.sublet.refused(_filled(line, lived.ids))
    assert sentence in said
    assert "Traceback" not in said
    assert len([each for each in said.splitlines() if each.startswith(("sublet:", "Error:"))]) == 1


def test_a_failed_command_passes_its_exit_code_on(lived):
    from sublet.client.values import Run

    ended = Run("run_1", "lea_1", "nod_1", ["x"], "tok_1", None, None, 7, "", 1.0, False)  # type: ignore[arg-type]
    with ExitStack() as stack:
        client = stack.enter_context(mock.patch("sublet.client.Client", autospec=True)).return_value
        client.__enter__.return_value = client
        client.run.return_value = ended
        client.log.return_value.ended, client.log.return_value.text, client.log.return_value.next = True, "", 0
        for status, code in ((0, 0), (7, 7), (-9, 137)):
            client.get_run.return_value = mock.Mock(status=status, reason="")
            lived.sublet(f"--url http://127.0.0.1:9 --token x run lea_{NOBODY} -- x", code=code)
        client.get_run.return_value = mock.Mock(status=None, reason="its node is gone")
        assert "its node is gone" in lived.sublet.refused(f"--url http://x --token x run lea_{NOBODY} -- x")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell, empty):
    said = empty(f"completion {shell}")
    assert "_SUBLET_COMPLETE" in said
    values = {"COMP_WORDS": "sublet su", "COMP_CWORD": "1" if shell != "fish" else "su"}
    found = CliRunner(env={"_SUBLET_COMPLETE": f"{shell}_complete", **values}).invoke(cli, [], prog_name="sublet")
    assert "supply" in found.output
    assert "Contracts with providers" in found.output or shell == "bash"
