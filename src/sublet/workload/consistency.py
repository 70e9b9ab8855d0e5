"""Do the parts of a job agree with one another? Each check raises one sentence about the key that is at fault.

Invariant: a job that passes can be laid out on some machine; what merely surprises becomes an assumption instead.
"""

from __future__ import annotations

import math

from sublet.units import format_count
from sublet.workload.decode import Origin
from sublet.workload.job import Constraints, Layout, TrainingJob
from sublet.workload.model import Model


def check_model(model: Model, origin: Origin) -> None:
    """Heads, experts and window of a model given by its dimensions."""
    if model.heads % model.kv_heads:
        raise origin.error(("model", "kv_heads"), f"{model.kv_heads} does not divide heads {model.heads}")
    if model.window and not 0 < model.windowed_layers <= model.layers:
        raise origin.error(("model", "windowed_layers"), f"{model.windowed_layers} is not within 1 to {model.layers}")
    experts = model.experts
    if experts is None:
        return
    if experts.active > experts.count:
        raise origin.error(("model", "experts", "active"), f"{experts.active} is more than the {experts.count} experts")
    if experts.layers > model.layers:
        raise origin.error(("model", "experts", "layers"), f"{experts.layers} is more than the {model.layers} layers")
    if experts.shared and not experts.shared_ffn_hidden:
        raise origin.error(("model", "experts", "shared_ffn_hidden"), "is missing: give the width of a shared expert")


def check_job(job: TrainingJob, origin: Origin) -> None:
    """Tokens, batch, adapters, layout and constraints of a complete job."""
    batch = job.global_batch * job.sequence
    if job.tokens < batch:
        raise origin.error(
            ("tokens",),
            f"{format_count(job.tokens)} is less than one global batch of {format_count(batch)} tokens: "
            "give more tokens or a smaller global_batch",
        )
    if job.lora is not None and job.task != "lora":
        raise origin.error(("lora",), f"is given but task is {job.task!r}: write task: lora, or leave lora out")
    _check_layout(job, origin)
    _check_constraints(job.constraints, origin)


def _check_layout(job: TrainingJob, origin: Origin) -> None:
    layout, model = job.layout, job.model

    def wrong(key: str, sentence: str) -> None:
        raise origin.error(("layout", key), sentence)

    if layout.tp and model.heads % layout.tp:
        wrong("tp", f"{layout.tp} does not divide the {model.heads} heads of {model.name}")
    if layout.pp and layout.pp * (layout.vp or 1) > model.layers:
        wrong("pp", f"{layout.pp} x {layout.vp or 1} stages are more than the {model.layers} layers of {model.name}")
    if layout.vp and layout.vp > 1 and layout.pp == 1:
        wrong("vp", f"{layout.vp} needs a pipeline: give pp of at least 2")
    if layout.cp and job.sequence % layout.cp:
        wrong("cp", f"{layout.cp} does not divide the sequence of {job.sequence:,} tokens")
    if layout.ep and layout.ep > 1:
        if model.experts is None:
            wrong("ep", f"{layout.ep} is for experts, and {model.name} has none: leave it out")
        elif model.experts.count % layout.ep:
            wrong("ep", f"{layout.ep} does not divide the {model.experts.count} experts of {model.name}")
    step = (layout.dp or 1) * (layout.micro_batch or 1)
    if job.global_batch % step:
        key = "dp" if layout.dp else "micro_batch"
        wrong(
            key, f"x micro_batch is {step:,}, which does not divide the global batch of {job.global_batch:,} sequences"
        )
    _check_counts(layout, job.constraints, wrong_key="tp" if layout.tp else "pp", origin=origin)


def _check_counts(layout: Layout, constraints: Constraints, wrong_key: str, origin: Origin) -> None:
    """Some demanded count must hold a whole number of model replicas."""
    replica = math.prod(degree or 1 for degree in (layout.tp, layout.pp, layout.cp))
    whole = replica * layout.dp if layout.dp else 0
    fitting = [c for c in constraints.counts if (c == whole if whole else c % replica == 0)]
    if constraints.counts and not fitting:
        counts = ", ".join(f"{c:,}" for c in constraints.counts)
        need = f"exactly {whole:,}" if whole else f"a multiple of {replica:,}"
        raise origin.error(("layout", wrong_key), f"asks with its fellows for {need} accelerators; counts: {counts}")


def _check_constraints(constraints: Constraints, origin: Origin) -> None:
    def wrong(key: str, sentence: str) -> None:
        raise origin.error(("constraints", key), sentence)

    low, high = constraints.min_count, constraints.max_count
    if low and high and low > high:
        wrong("min_count", f"{low:,} is more than max_count {high:,}")
    outside = [c for c in constraints.counts if (low and c < low) or (high and c > high)]
    if outside:
        wrong("counts", f"names {outside[0]:,}, which min_count and max_count rule out")
    for kind in ("accelerators", "providers", "regions"):
        wanted = {name.casefold() for name in getattr(constraints, kind)}
        both = [name for name in getattr(constraints, f"avoid_{kind}") if name.casefold() in wanted]
        if both:
            wrong(f"avoid_{kind}", f"names {both[0]!r}, which {kind} asks for")
