"""What limits a step, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping

_REMEDY = {
    "matrix multiplication": "only a faster chip or a smaller number format helps",
    "attention": "the sequence is long for the model",
    "elementwise": "memory bandwidth limits it",
    "kernel launches": "the microbatch is small for the chip",
    "recomputation": "more memory would save it",
    "weight traffic": "larger microbatches would spread it",
    "logits and loss": "the vocabulary is large for the model",
    "tensor-parallel traffic": "the scale-up link limits it",
    "context-parallel traffic": "the network limits it",
    "expert-parallel traffic": "the network limits it",
    "pipeline bubble": "more sequences per step would fill it",
    "pipeline traffic": "the network limits it",
    "data-parallel traffic": "the network limits it",
    "optimizer": "memory bandwidth limits it",
    "step overhead": "the step is short",
    "stragglers": "the machine is large",
}


def sentence(parts: Mapping[str, float], step_s: float) -> str:
    """The largest part and, where one adds over 8 %, the largest thing beside the multiplications themselves."""
    ranked = sorted(parts, key=lambda name: -parts[name])
    first = ranked[0]
    text = f"{first} takes {parts[first] / step_s:.0%} of the step"
    beside = next(name for name in ranked if name not in ("matrix multiplication", first))
    if parts[beside] / step_s >= 0.08:
        text += f", {beside} {parts[beside] / step_s:.0%}: {_REMEDY[beside]}"
    elif first != "matrix multiplication":
        text += f": {_REMEDY[first]}"
    return text
