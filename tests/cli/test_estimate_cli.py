import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sublet.cli import cli
from sublet.errors import InputError, NothingFitsError

HEADER = "id,source,chip,n_chips,framework,model,seq_len,micro_batch,global_batch,sharding,precision,step_time_s,kind\n"
ROWS = (
    "a1,A,H100-SXM5-80GB,64,PyTorch FSDP,Llama-2-7B,4096,2,256,FSDP,bf16,2.0,measured\n"
    "a2,A,H100-SXM5-80GB,8,PyTorch FSDP,Llama-2-7B,4096,2,64,FSDP,bf16,4.0,measured\n"
    "b1,B,A100-SXM4-80GB,64,PyTorch FSDP,Llama-2-13B,4096,1,256,FSDP,bf16,8.0,measured\n"
    "b2,B,A100-SXM4-80GB,64,PyTorch FSDP,Llama-2-7B,4096,2,256,FSDP,bf16,9.0,derived\n"
    "c1,C,abacus,64,PyTorch FSDP,Llama-2-7B,4096,2,256,FSDP,bf16,9.0,measured\n"
)
JOB = """
name: a small run
model: llama-2-7b
tokens: 10B
sequence: 4096
global_batch: 256 sequences
precision: bf16
framework: PyTorch
"""


@pytest.fixture
def runs(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text(HEADER + ROWS)
    return str(file)


@pytest.fixture
def job(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    return str(file)


def run(*arguments):
    """What the command prints on standard output; errors come through as they are."""
    result = CliRunner().invoke(cli, ["estimate", *arguments], catch_exceptions=False, standalone_mode=False)
    return result.stdout


@pytest.mark.parametrize("leave_out", [None, "source", "chip", "row"])
def test_validation_as_json_lists_every_row_once(runs, leave_out):
    said = json.loads(run("validate", runs, "--json", *(["--leave-out", leave_out] if leave_out else [])))
    assert said["schema"] == "sublet.estimate.validate/1"
    assert [row["id"] for row in said["rows"]] == ["a1", "a2", "b1", "b2"]
    assert [row["id"] for row in said["skipped"]] == ["c1"]
    assert said["overall"]["n"] == 3
    assert said["leave_out"] == leave_out
    for row in said["rows"]:
        assert row["p10"] < row["predicted_step_s"] < row["p90"]
        assert row["memory_verdict"] in ("fits", "edge", "does not fit")
    assert {group["by"] for group in said["groups"]} == {"chip", "source", "size", "sequence", "scale", "precision"}


def test_all_kinds_are_counted_when_asked_for(runs):
    assert json.loads(run("validate", runs, "--json", "--all-kinds"))["overall"]["n"] == 4


def test_validation_as_tables_says_what_it_counts_and_what_it_skipped(runs):
    text = run("validate", runs, "--leave-out", "row")
    assert "refitted without it" in text
    for word in ("chip", "source", "size", "sequence", "scale", "precision", "H100 SXM", "3 measured, 1 derived"):
        assert word in text
    assert "c1" in text
    assert "abacus" in text


def test_the_json_document_can_be_written_beside_the_tables(runs, tmp_path):
    file = tmp_path / "out.json"
    text = run("validate", runs, "--json-file", str(file))
    assert text.startswith("Error of step time")
    assert json.loads(file.read_text())["overall"]["n"] == 3


def test_a_calibration_that_was_fitted_can_be_used(runs, tmp_path):
    file = tmp_path / "coefficients.json"
    text = run("calibrate", runs, "--out", str(file))
    assert "H100 SXM" in text
    assert "Fitted to 3 rows" in text
    with_it = json.loads(run("validate", runs, "--calibration", str(file), "--json"))
    assert with_it["overall"]["mean"] < 0.5
    assert json.loads(run("calibrate", runs, "--json")) == json.loads(file.read_text())


def test_the_search_says_how_much_it_looked_at_and_what_nothing_beats(job):
    said = json.loads(run("search", job, "--accelerator", "H100 SXM", "--count", "16", "--quick", "--json"))
    assert said["evaluations"] >= len(said["pareto"]) >= 1
    assert said["cpu_s"] > 0
    steps = [point["step_s"] for point in said["pareto"]]
    sizes = [point["memory_bytes"] for point in said["pareto"]]
    assert steps == sorted(steps)
    assert sizes == sorted(sizes, reverse=True)
    layout = said["best"]["layout"]
    assert layout["tp"] * layout["cp"] * layout["pp"] * layout["dp"] == 16
    assert "layouts" in run("search", job, "--accelerator", "H100 SXM", "--count", "16", "--quick")


def test_explain_prints_where_time_and_memory_go_in_the_demanded_layout(job):
    said = json.loads(run("explain", job, "--accelerator", "H100 SXM", "--count", "16", "--tp", "4", "--json"))
    assert said["layout"]["tp"] == 4
    assert sum(said["breakdown_s"].values()) == pytest.approx(said["step_s"]["p50"], rel=1e-6)
    assert sum(said["memory"]["components"].values()) == pytest.approx(said["memory"]["bytes"], rel=1e-6)
    text = run("explain", job, "--accelerator", "H100 SXM", "--count", "16", "--tp", "4")
    for word in ("bottleneck", "time of a step", "memory per accelerator", "calibration", "tp 4"):
        assert word in text


def test_the_network_in_words_is_used(job):
    machine = ("explain", job, "--accelerator", "H100 SXM", "--count", "64", "--tp", "1", "--pp", "1", "--json")
    slow = json.loads(run(*machine, "--interconnect", "100 Gb/s RoCE"))
    fast = json.loads(run(*machine, "--interconnect", "8x NDR InfiniBand 400 Gb/s"))
    assert slow["step_s"]["p50"] > fast["step_s"]["p50"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("validate", "gone.csv"), "gone.csv"),
        (("explain", "{job}", "--accelerator", "abacus", "--count", "8"), "abacus"),
        (("validate", "{runs}", "--calibration", "{job}"), "calibration"),
        (("validate", "{runs}", "--calibration", "{runs}", "--leave-out", "row"), "exclude each other"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(runs, job, arguments, said):
    with pytest.raises(InputError, match=said):
        run(*(argument.format(job=job, runs=runs) for argument in arguments))


def test_a_job_that_no_layout_holds_is_refused_with_the_shortfall(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(JOB.replace("llama-2-7b", "gpt-3-175b"))
    with pytest.raises(NothingFitsError, match="1 x H100 SXM"):
        run("explain", str(file), "--accelerator", "H100 SXM", "--count", "1")


def test_help_needs_no_room():
    """`sublet estimate --help` imports neither NumPy nor rich."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from sublet.cli import cli\n"
        "assert CliRunner().invoke(cli, ['estimate', '--help']).exit_code == 0\n"
        "print([m for m in ('numpy', 'rich', 'matplotlib') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
