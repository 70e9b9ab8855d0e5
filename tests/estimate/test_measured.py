import csv

import pytest

from sublet.errors import InputError
from sublet.estimate.frameworks import frameworks
from sublet.estimate.measured import read_files, read_runs
from sublet.estimate.rows import reading
from sublet.workload.parameters import count

LLAMA = {
    "id": "row-1",
    "source": "somebody's README",
    "date": "2024-05",
    "system": "cluster",
    "chip": "H100-SXM5-80GB",
    "chip_memory_gb": "80",
    "n_chips": "64",
    "interconnect": "8x NDR InfiniBand 400 Gb/s per node",
    "framework": "PyTorch FSDP",
    "model": "a model of ours",
    "params_b": "6.738",
    "layers": "32",
    "hidden": "4096",
    "ffn_hidden": "11008",
    "heads": "32",
    "kv_heads": "32",
    "head_dim": "128",
    "vocab": "32000",
    "task": "pretrain benchmark",
    "seq_len": "4096",
    "micro_batch": "2",
    "global_batch": "256",
    "global_batch_tokens": "1048576",
    "tp": "1",
    "pp": "1",
    "cp": "1",
    "dp": "64",
    "sharding": "FSDP",
    "activation_checkpointing": "none",
    "precision": "bf16",
    "tokens_per_s_per_chip": "8192",
    "kind": "measured",
}
OTHER_COLUMNS = (
    "source_ref",
    "params_active_b",
    "experts",
    "topk",
    "arch_source",
    "grad_accum",
    "vp",
    "ep",
    "mfu",
    "hfu",
    "mfu_definition",
    "tflops_per_chip",
    "step_time_s",
    "time_to_train_s",
    "tokens_total",
    "chip_hours",
    "notes",
)


def row(**changes):
    return {**LLAMA, **{name: str(value) for name, value in changes.items()}}


def write(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*LLAMA, *OTHER_COLUMNS])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def read(tmp_path):
    """Reads one row made of the complete one with changes; its run, or its skip."""

    def one(**changes):
        runs, skipped = read_runs(write(tmp_path / "runs.csv", row(**changes)))
        assert len(runs) + len(skipped) == 1
        return (*runs, *skipped)[0]

    return one


def test_a_complete_row_is_the_job_that_it_states(read):
    run = read()
    assert run.machine.accelerator.name == "H100 SXM"
    assert run.machine.count == 64
    assert (run.job.sequence, run.job.global_batch, run.job.precision, run.job.task) == (4096, 256, "bf16", "pretrain")
    layout = run.job.layout
    assert (layout.tp, layout.pp, layout.cp, layout.dp, layout.micro_batch) == (1, 1, 1, 64, 2)
    assert (layout.sharding, layout.recompute, run.grad_accum, run.fsdp_group) == ("zero3", "none", 2, 64)
    assert run.framework_family == "PyTorch-FSDP"
    assert run.calibrates
    assert run.dense
    assert run.step_basis == "tokens_per_s"
    assert run.step_s == pytest.approx(256 * 4096 / (8192 * 64))
    assert run.tokens_per_s_per_chip == pytest.approx(8192)


# --- the step time, from whatever is stated ---


def test_a_stated_step_time_wins_over_everything(read):
    run = read(step_time_s="2.5", mfu="0.9")
    assert (run.step_s, run.step_basis) == (2.5, "step_time_s")


def test_model_flop_per_second_turn_back_into_time(read):
    run = read(
        tokens_per_s_per_chip="", tflops_per_chip="400", mfu="0.4", mfu_definition="6N + full (non-causal) attention"
    )
    matrices = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008) + 4096 * 32000
    flop = 6 * matrices + 12 * 32 * 4096 * 4096
    assert run.step_basis == "tflops"
    assert run.step_s == pytest.approx(256 * 4096 * flop / (400e12 * 64), rel=1e-9)


def test_causal_counting_is_heard(read):
    stated = {"tokens_per_s_per_chip": "", "tflops_per_chip": "400"}
    full = read(**stated, mfu_definition="6N + full non-causal attention").step_s
    causal = read(**stated, mfu_definition="6N + causal attention").step_s
    assert full - causal == pytest.approx(256 * 4096 * 6 * 32 * 4096 * 4096 / (400e12 * 64), rel=1e-6)


def test_utilisation_counts_where_it_has_more_digits_and_uses_the_peak_it_names(read):
    run = read(tokens_per_s_per_chip="", tflops_per_chip="400", mfu="0.40444", mfu_definition="model FLOP/s over 989")
    assert run.step_basis == "mfu"
    other = read(tokens_per_s_per_chip="", tflops_per_chip="399.991", mfu="0.40")
    assert run.step_s == pytest.approx(other.step_s, rel=1e-4)


def test_hardware_flop_of_2021_follow_the_papers_formula(read):
    run = read(
        model="GPT", params_b="18.4", layers="40", hidden="6144", ffn_hidden="24576", heads="48", kv_heads="48",
        vocab="51200", seq_len="2048", global_batch="1024", tp="8", dp="8", micro_batch="",
        activation_checkpointing="full", tokens_per_s_per_chip="", hfu="0.43", tflops_per_chip="135",
        mfu_definition="HARDWARE flops incl. full recompute over 312", date="2021-04", framework="Megatron-LM 2021",
    )  # fmt: skip
    paper = 96 * 1024 * 2048 * 40 * 6144**2 * (1 + 2048 / (6 * 6144) + 51200 / (16 * 40 * 6144))
    assert run.step_s == pytest.approx(paper / (135e12 * 64), rel=1e-3)
    assert run.framework_family == "Megatron-unfused"
    assert run.job.layout.sequence_parallel is False


def test_a_whole_run_holds_restarts_and_does_not_calibrate(read):
    run = read(task="full pretrain run", tokens_total="2e12", chip_hours="184320", tokens_per_s_per_chip="3014.08")
    assert run.step_basis == "whole run"
    assert not run.calibrates
    again = read(task="full pretrain run", tokens_total="2e12", chip_hours="184320", tokens_per_s_per_chip="")
    assert again.step_s == pytest.approx(run.step_s, rel=1e-4)


# --- the model ---


@pytest.mark.parametrize(
    ("changes", "gated", "tied"),
    [
        ({}, True, False),
        ({"params_b": "6.607"}, True, True),
        ({"ffn_hidden": "16384", "params_b": "6.57"}, False, True),
        ({"ffn_hidden": "16384", "params_b": ""}, False, True),
        ({"params_b": ""}, True, False),
    ],
)
def test_gate_and_tied_embeddings_are_inferred_from_the_number_of_parameters(read, changes, gated, tied):
    model = read(**changes).job.model
    assert (model.gated, model.tied_embeddings) == (gated, tied)


def test_the_row_wins_over_the_built_in_of_its_name(read):
    assert read(model="Llama-2-7B", vocab="32016").job.model.vocab == 32016
    assert read(model="Llama-2-7B", layers="16", params_b="3.5").job.model.layers == 16


def test_a_row_without_dimensions_is_the_built_in_of_its_name(read):
    blank = dict.fromkeys(("layers", "hidden", "ffn_hidden", "heads", "kv_heads", "head_dim", "vocab", "params_b"), "")
    run = read(model="MPT-30B", **blank)
    assert run.job.model.hidden == 7168


def test_a_dense_model_known_by_size_alone_is_still_predicted(read):
    blank = dict.fromkeys(("layers", "hidden", "ffn_hidden", "heads", "kv_heads", "head_dim", "vocab"), "")
    run = read(model="a secret model", params_b="100", **blank)
    assert count(run.job.model).total == pytest.approx(100e9, rel=0.05)
    assert any("dimensions not stated" in sentence for sentence in run.assumptions)


MIXTURE = {
    "model": "mixture of ours", "layers": "32", "hidden": "4096", "heads": "32", "kv_heads": "8", "ffn_hidden": "14336",
    "experts": "8", "topk": "2", "params_b": "46.7", "params_active_b": "12.9",
}  # fmt: skip


def test_experts_as_wide_as_stated_when_the_total_agrees(read):
    experts = read(**MIXTURE).job.model.experts
    assert (experts.count, experts.active, experts.ffn_hidden, experts.layers, experts.shared) == (8, 2, 14336, 32, 0)


def test_the_width_of_experts_from_a_remark(read):
    model = read(
        **{**MIXTURE, "params_b": "", "params_active_b": "", "arch_source": "config; expert ffn 768"}
    ).job.model
    assert model.experts.ffn_hidden == 768


def test_the_width_of_experts_and_of_a_shared_one_from_the_totals(read):
    # 128 experts of 1,024, 8 active, one shared of 4,096: totals counted by hand
    hidden, layers = 4096, 32
    attention = layers * (2 * hidden * 4096 + 2 * hidden * 1024)
    one, shared = 3 * hidden * 1024, 3 * hidden * 4096
    rest = attention + layers * (shared + hidden * 128) + 2 * 32000 * hidden
    total, active = rest + layers * 128 * one, rest + layers * 8 * one
    changes = {**MIXTURE, "experts": "128", "topk": "8", "params_b": total / 1e9, "params_active_b": active / 1e9}
    experts = read(**changes).job.model.experts
    assert experts.shared_ffn_hidden == pytest.approx(4096, abs=128)
    assert experts.ffn_hidden == pytest.approx(1024, abs=64)


# --- the layout ---


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ZeRO-3 (FSDP FULL_SHARD)", "zero3"),
        ("ZeRO-2 (FSDP SHARD_GRAD_OP)", "zero2"),
        ("none (dp=1)", "ddp"),
        ("DDP + distributed optimizer", "zero1"),
        ("HSDP", "hsdp"),
        ("FSDP", "zero3"),
        ("fully sharded data parallel", "zero3"),
        ("DDP", "ddp"),
        ("FSDP 8 in the node, DP across nodes", "hsdp"),
        ("", None),
    ],
)
def test_sharding_in_prose(read, text, kind):
    assert read(sharding=text).job.layout.sharding == kind


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("full", "full"),
        ("full (rematerialisation)", "full"),
        ("none", "none"),
        ("selective (attention) + sequence parallelism", "selective"),
        ("minimal_with_context", "selective"),
        ("MaxText remat_policy=custom", None),  # of another framework: unknown
        ("", None),
    ],
)
def test_recomputation_in_prose(read, text, name):
    assert read(activation_checkpointing=text).job.layout.recompute == name


def test_how_many_layers_are_recomputed_from_the_two_utilisations(read):
    part = read(activation_checkpointing="selective", mfu="0.61", hfu="0.69")
    assert part.job.layout.recompute is None
    assert part.recompute_share == pytest.approx(0.393, abs=0.01)
    assert read(activation_checkpointing="selective", mfu="0.55", hfu="0.74").job.layout.recompute == "full"


@pytest.mark.parametrize(
    ("policy", "again", "offloaded"),
    [("full", 165.7, False), ("qkv_proj offloaded", 115.4, True), ("MaxText remat_policy=custom", 98.6, True)],
)
def test_a_policy_of_maxtext_says_what_is_computed_again(read, policy, again, offloaded):
    # millions of multiplications of a layer and token: 67.1 in four projections of 4096^2, 8.4 in attention over
    # 1,024 keys in the mean, 135.3 in three products of 4096 x 11008, the last of which is never needed again
    run = read(**TPU, activation_checkpointing=policy)
    assert run.job.layout.recompute == "full"
    assert run.recompute_share == pytest.approx(again / 210.8, rel=1e-2)
    assert run.activations_offloaded is offloaded


def test_a_group_smaller_than_the_ranks_is_hybrid_sharding(read):
    run = read(sharding="FSDP group 8")
    assert (run.job.layout.sharding, run.fsdp_group) == ("hsdp", 8)
    whole = read(sharding="FSDP group 64")
    assert (whole.job.layout.sharding, whole.fsdp_group) == ("zero3", 64)


TPU = {
    "chip": "TPU v5e", "chip_memory_gb": "16", "n_chips": "512", "system": "2x v5e-256", "framework": "MaxText (JAX)",
    "interconnect": "ICI 2D torus; DCN between slices", "sharding": "FSDP 16 in the slice, DP across slices",
    "tp": "16", "pp": "", "cp": "", "dp": "", "micro_batch": "1", "global_batch": "512", "seq_len": "2048",
}  # fmt: skip


def test_jax_states_the_batch_of_a_chip_which_tensor_parallelism_shares(read):
    run = read(**TPU)
    layout = run.job.layout
    assert (layout.tp, layout.dp, layout.pp, layout.micro_batch, run.grad_accum) == (16, 32, 1, 16, 1)
    assert (layout.sharding, run.fsdp_group, run.slices) == ("hsdp", 16, 2)
    assert run.machine.fabric.domain == 256
    assert run.framework_family == "JAX"


def test_a_batch_of_a_chip_may_be_a_fraction(read):
    assert read(**{**TPU, "micro_batch": "0.5", "global_batch": "256"}).job.layout.micro_batch == 8


LORA = {
    "model": "Llama-2-70B", "params_b": "68.977", "layers": "80", "hidden": "8192", "ffn_hidden": "28672",
    "heads": "64", "kv_heads": "8", "task": "LoRA fine-tune to target loss (packed 8192)", "seq_len": "8192",
    "n_chips": "8", "global_batch": "8", "grad_accum": "4", "micro_batch": "",
    "tp": "", "pp": "", "cp": "", "dp": "", "sharding": "",
    "precision": "", "source": "MLPerf Training v9", "framework": "NGC PyTorch", "step_time_s": "4.1",
}  # fmt: skip


def test_a_lora_submission_tells_its_ranks_by_its_accumulation(read):
    run = read(**LORA)
    assert run.job.task == "lora"
    assert run.job.lora.rank == 16
    assert (run.job.layout.dp, run.job.layout.micro_batch, run.job.layout.pp) == (2, 1, 1)
    assert run.framework_family == "LoRA"
    assert (run.job.precision, run.precision_stated) == ("fp8", False)


def test_what_is_presumed_depends_on_software_and_chip(read):
    assert read(**{**LORA, "framework": "PyTorch, Deepspeed N8"}).job.precision == "bf16"
    assert read(**{**LORA, "chip": "A100-SXM4-80GB"}).job.precision == "bf16"
    assert read(precision="", chip="V100", chip_memory_gb="32").job.precision == "fp16"


def test_an_accumulation_that_contradicts_the_batch_is_replaced_and_said(read):
    run = read(grad_accum="1")
    assert run.grad_accum == 2
    assert any("accumulation" in sentence for sentence in run.assumptions)


def test_degrees_that_do_not_divide_the_count_are_all_left_open(read):
    layout = read(tp="32", pp="8", dp="").job.layout
    assert (layout.tp, layout.pp, layout.cp, layout.dp) == (None, None, None, None)


def test_a_version_in_a_name_is_no_group(read):
    run = read(sharding="FSDP2")
    assert (run.job.layout.sharding, run.fsdp_group) == ("zero3", 64)


@pytest.mark.parametrize("dp", ["7", "2"])
def test_where_the_degrees_do_not_make_the_count_the_ranks_are_taken_from_the_others(read, dp):
    run = read(tp="8", pp="2", dp=dp)
    assert (run.job.layout.tp, run.job.layout.pp, run.job.layout.dp) == (8, 2, 4)
    assert any("do not make 64 chips" in sentence for sentence in run.assumptions)


def test_ranks_that_cannot_share_the_batch_leave_all_degrees_open(read):
    layout = read(global_batch="48").job.layout
    assert (layout.tp, layout.pp, layout.cp, layout.dp, layout.micro_batch) == (None, None, None, None, 2)


def test_a_precision_that_the_chip_lacks_is_the_next_wider_one_and_said(read):
    run = read(chip="A100-SXM4-80GB", precision="fp8")
    assert run.job.precision == "bf16"
    assert any("has no fp8" in sentence for sentence in run.assumptions)


# --- precision, count, batch ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bf16 (AMP)", "bf16"),
        ("fp8 (AMP, TransformerEngine)", "fp8"),
        ("MXFP8", "fp8"),
        ("FP8-CS (per-tensor current scaling)", "fp8"),
        ("NVFP4", "fp4"),
        ("fp16 mixed", "fp16"),
        ("int8 training (AQT), bf16 elsewhere", "int8"),
        ("BFloat16", "bf16"),
        ("tf32", "tf32"),
    ],
)
def test_precision_in_prose(read, text, name):
    run = read(precision=text, chip="B200", chip_memory_gb="180")
    assert (run.job.precision, run.precision_stated) == (name, True)


def test_a_round_number_of_tokens_is_a_power_of_two_of_sequences(read):
    assert read(global_batch="", global_batch_tokens="4e6").job.global_batch == 1024
    assert read(global_batch="", global_batch_tokens="786432").job.global_batch == 192


def test_a_dense_row_without_count_and_batch_is_still_predicted(read):
    blank = dict.fromkeys(("n_chips", "dp", "global_batch", "global_batch_tokens", "micro_batch"), "")
    run = read(**blank)
    assert run.machine.count >= 8
    assert run.step_s > 0
    assert {"batch", "count"} <= {sentence.split()[0] for sentence in run.assumptions}


def test_speed_is_what_matters_not_the_presumed_count(read):
    blank = dict.fromkeys(("n_chips", "dp"), "")
    assert read(**blank).tokens_per_s_per_chip == pytest.approx(8192)


# --- what is skipped, and what is not ---


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "offline inference"}, "no training"),
        ({"chip": ""}, "no chip"),
        ({"chip": "abacus"}, "abacus"),
        ({"tokens_per_s_per_chip": ""}, "no step time"),
        ({"model": "", "layers": "", "hidden": "", "params_b": ""}, "dimensions"),
    ],
)
def test_a_row_that_cannot_be_told_is_skipped_with_the_reason(read, changes, said):
    skip = read(**changes)
    assert said in skip.reason
    assert skip.id == "row-1"


def test_a_board_variant_that_nobody_listed_is_taken_as_its_relative(read):
    run = read(chip="H100-SXM5-80GB (liquid cooled)")
    assert run.machine.accelerator.name == "H100 SXM"


def test_ids_stay_unique_within_and_across_files(tmp_path):
    one = write(tmp_path / "one.csv", row(), row())
    two = write(tmp_path / "two.csv", row(), row(id=""))
    runs, skipped = read_files([one, two])
    assert len({run.id for run in runs}) == 4
    assert not skipped


def test_a_table_of_something_else_is_refused(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text("region,price\nus,1\n")
    with pytest.raises(InputError, match=r"prices.csv:1"):
        read_runs(file)


def test_every_family_that_the_reader_names_is_known_to_the_estimator():
    named = {rule["name"] for rule in reading()["family"]} | set(reading()["unfused_family"].values())
    named |= set(reading()["presumed_family"].values())
    assert named <= set(frameworks())


# --- the published table ---


@pytest.fixture(scope="module")
def published(shared):
    return read_runs(shared / "measured" / "training.csv")


def test_every_row_of_the_published_table_is_read(published):
    runs, skipped = published
    assert (len(runs), skipped) == (431, ())
    assert len({run.source for run in runs}) == 15


def test_layouts_of_the_published_table_multiply_out(published):
    for run in published[0]:
        layout = run.job.layout
        degrees = (layout.tp, layout.pp, layout.cp, layout.dp)
        if None not in degrees:
            assert layout.tp * layout.pp * layout.cp * layout.dp == run.machine.count, run.id
        if None not in (layout.micro_batch, layout.dp, run.grad_accum):
            assert layout.micro_batch * layout.dp * run.grad_accum == run.job.global_batch, run.id
        if run.fsdp_group is not None and layout.dp is not None:
            assert layout.dp % run.fsdp_group == 0, run.id


def test_parameters_of_the_published_table_agree(published, shared):
    with (shared / "measured" / "training.csv").open(newline="") as file:
        stated = {line["id"]: line["params_b"] for line in csv.DictReader(file)}
    for run in published[0]:
        if stated[run.id]:
            assert count(run.job.model).total == pytest.approx(float(stated[run.id]) * 1e9, rel=0.03), run.id


def test_flop_are_counted_as_each_source_counts_them(published, shared, tmp_path):
    """Where a row states both time and FLOP/s, the time that the FLOP/s imply is the one that was measured."""
    with (shared / "measured" / "training.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    both = [
        line for line in lines if line["tflops_per_chip"] and (line["step_time_s"] or line["tokens_per_s_per_chip"])
    ]
    file = tmp_path / "without_times.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, lines[0])
        writer.writeheader()
        writer.writerows({**line, "step_time_s": "", "tokens_per_s_per_chip": ""} for line in both)
    measured = {run.id: run.step_s for run in published[0]}
    again = read_runs(file)[0]
    assert len(again) == len(both) > 150
    errors = [abs(run.step_s / measured[run.id] - 1) for run in again]
    assert max(errors) < 0.04
