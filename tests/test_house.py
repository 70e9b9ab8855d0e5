"""Rules of the house that no single room can keep: nothing names a machine or a registry, and docs and code agree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml
from click.testing import CliRunner

from sublet.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]

# Written in two halves, so that this file does not break its own rule.
REGISTRY_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js", "deb." + "debian.org")
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9._-])/(?:" + "|".join(("work", "farm", "home", "root", "Users")) + r")/")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".csv", ".txt", ".json", ".cfg", ".html", ".svg", ".sh", ""}


def tracked_files() -> list[Path]:
    """Files of the checkout that git does not ignore; skips where there is no git checkout."""
    try:
        listing = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout")
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def tool(name: str) -> ModuleType:
    """A module of tools/ or .ci/, which are no packages."""
    for folder in ("tools", ".ci"):
        if (ROOT / folder / f"{name}.py").is_file():
            sys.path.insert(0, str(ROOT / folder))
            try:
                return import_module(name)
            finally:
                sys.path.pop(0)
    raise AssertionError(f"no tool {name}")


def broken_lines(text: str) -> list[str]:
    """Lines of a text that name a registry host or a path of some machine."""
    return [
        line for line in text.splitlines() if MACHINE_PATH.search(line) or any(host in line for host in REGISTRY_HOSTS)
    ]


def command_paths(group: click.Group = cli, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command of the command line: ("quote",), ("catalog", "import"), ..."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*prefix, name))
        if isinstance(command, click.Group):
            found += command_paths(command, (*prefix, name))
    return found


def test_no_file_names_a_machine_path_or_a_registry_host():
    broken = [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in tracked_files()
        if path.suffix in TEXT
        for line in broken_lines(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not broken, "\n".join(broken[:20])


@pytest.mark.parametrize("line", ["see /" + "work/main", "index " + REGISTRY_HOSTS[0], '"/' + 'root/.cache"'])
def test_the_rule_on_paths_and_hosts_sees_a_breach(line):
    assert broken_lines(f"fine\n{line}\n") == [line]


@pytest.mark.parametrize("line", ["/dev/null", "a network/work/ratio", "~/.sky/catalogs", "framework/homes"])
def test_the_rule_on_paths_and_hosts_leaves_other_text_alone(line):
    assert broken_lines(line) == []


def test_constraints_hold_pins_and_hashes_and_no_address():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    options = [line for line in lines if line.startswith("-") or "://" in line]
    pins = [line for line in lines if line[:1].isalnum()]
    assert not options
    assert len(pins) > 20
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+ \\", pin) for pin in pins)


def test_constraints_pin_every_dependency():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    pins_tool = tool("runtime_pins")
    pins = pins_tool.blocks((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {pins_tool.canonical(name) for name in named} <= pins.keys()


def test_runtime_pins_take_what_is_named_and_what_that_brings():
    pins_tool = tool("runtime_pins")
    text = (
        "a==1 \\\n    --hash=sha256:00\n    # via sublet (pyproject.toml)\n"
        "b==2 \\\n    --hash=sha256:11\n    # via\n    #   a\n    #   other\n"
        "c==3 \\\n    --hash=sha256:22\n    # via b\n"
        "other==4 \\\n    --hash=sha256:33\n    # via sublet (pyproject.toml)\n"
    )
    pins = pins_tool.blocks(text)
    assert pins_tool.runtime(pins, {"a"}) == ["a", "b", "c"]
    assert "".join(pins.values()) == text
    with pytest.raises(ValueError, match="missing"):
        pins_tool.runtime(pins, {"missing"})


def test_every_dependency_is_explained():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    prose = page.partition("<!-- end costs -->")[2]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    missing = [
        name
        for line in lines
        if not re.search(rf"\b{re.escape(name := tool('runtime_pins').canonical(line))}\b", prose)
    ]
    assert not missing


def test_every_page_is_in_the_navigation_and_the_other_way_round():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        if isinstance(entry, dict):
            return [page for value in entry.values() for page in pages(value)]
        assert isinstance(entry, list)
        return [page for value in entry for page in pages(value)]

    listed = pages(config["nav"])
    on_disk = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
    assert sorted(listed) == on_disk


def test_every_benchmark_is_documented_and_every_documented_one_exists():
    page = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    scripts = {path.name for path in (ROOT / "bench").glob("bench_*.py")}
    assert scripts == set(re.findall(r"^\| `(bench_\w+\.py)` \|", page, flags=re.MULTILINE))


def test_every_command_stands_in_help_with_its_line():
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    for name, (_, _, line) in COMMANDS.items():
        assert re.search(rf"^  {name} ", shown.output, flags=re.MULTILINE)
        assert line.split()[0] in shown.output


def test_every_command_answers_help_and_is_documented():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    for path in command_paths():
        shown = CliRunner().invoke(cli, [*path, "--help"])
        assert shown.exit_code == 0, path
        assert len(shown.output.splitlines()) > 2, path
        assert f"sublet {' '.join(path)}" in pages, f"docs never show `sublet {' '.join(path)}`"


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom sublet.cli import main\nsys.argv = ['sublet', '--help']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "Commands" in done.stdout
    assert "click" in loaded
    assert not loaded & {"numpy", "rich", "matplotlib", "msgspec", "yaml", "pyarrow"}
    rooms = ("sublet.catalog", "sublet.workload", "sublet.estimate", "sublet.quote")
    assert not [name for name in loaded if name.startswith(rooms)]


def test_ci_fails_on_a_skip_for_want_of_something_installed(tmp_path, capsys):
    junit = tmp_path / "junit.xml"
    case = '<testcase name="t"><skipped type="pytest.skip" message="{}"/></testcase>'
    junit.write_text(
        f"<testsuites><testsuite>{case.format('needs the shared reference data')}</testsuite></testsuites>"
    )
    assert tool("skips").main(str(junit)) == 0
    junit.write_text(f"<testsuites><testsuite>{case.format('needs installed: slurmctld')}</testsuite></testsuites>")
    assert tool("skips").main(str(junit)) == 1
    assert "slurmctld" in capsys.readouterr().out


def test_a_page_that_fetches_from_another_host_is_a_warning(caplog):
    hook = tool("docs_offline")
    fine = (
        '<a href="https://example.com/">x</a><img src="assets/a.png"><link rel="canonical" href="https://example.com/">'
    )
    assert hook.on_post_page(fine, page="p", config=None) == fine
    assert not caplog.records
    for broken in (
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="" src=https://example.com/x.png>',
    ):
        caplog.clear()
        hook.on_post_page(broken, page="p", config=None)
        assert len(caplog.records) == 1


def test_generated_parts_of_the_docs_are_replaced_between_their_markers_alone(tmp_path, monkeypatch):
    marked = tool("marked")
    monkeypatch.setattr(marked, "DOCS", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin part: made by x -->\nold\n<!-- end part -->\nafter\n")
    marked.replace("page.md", "part", "new \\1")
    assert page.read_text() == "before\n<!-- begin part: made by x -->\n\nnew \\1\n\n<!-- end part -->\nafter\n"
    with pytest.raises(ValueError, match="other"):
        marked.replace("page.md", "other", "text")


GENERATED = [
    ("method.md", "method_tables"),
    ("how-to-job-spec.md", "job_spec_tables"),
    ("data-sources.md", "source_tables"),
    ("security.md", "rights_table"),
    ("api.md", "api_tables"),
    ("lease-states.md", "state_diagram"),
    ("qualification-checks.md", "qualification_checks"),
]


@pytest.mark.parametrize(("page", "name"), GENERATED)
def test_generated_tables_are_those_that_their_command_makes(page, name):
    marked, tables = tool("marked"), tool(name)
    for part, make in tables.PARTS.items():
        assert marked.current(page, part) == make().strip(), f"run .venv/bin/python tools/{name}.py"


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_there_are_job_specs_in_the_docs():
    assert len(blocks("how-to-job-spec.md", "yaml")) >= 5


@pytest.mark.parametrize("block", blocks("how-to-job-spec.md", "yaml"))
def test_the_job_specs_in_the_docs_are_accepted(block, tmp_path):
    from sublet.workload.spec import load_job

    spec = tmp_path / "job.yaml"
    spec.write_text(block, encoding="utf-8")
    assert load_job(spec).tokens > 0


def test_the_price_list_in_the_docs_is_kept_whole(tmp_path):
    from sublet.catalog.importing import read_file

    (text,) = blocks("how-to-import.md", "csv")
    prices = tmp_path / "prices.csv"
    prices.write_text(text, encoding="utf-8")
    result = read_file(prices)
    assert (result.format, result.rows, result.kept) == ("sublet", 3, 3)
