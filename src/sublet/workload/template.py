"""The commented job spec that `sublet workload init` writes: everything that can be said, most of it commented out.

Invariant: the spec loads as it is, and loads still when its commented keys are uncommented (tested).
"""

from __future__ import annotations

from sublet.workload.builtin import model as builtin_model
from sublet.workload.defaults import default_batch, default_sequence

_TEMPLATE = """\
# yaml-language-server: $schema=sublet-job.json
# A training job for `sublet quote`. For completion in an editor: sublet workload schema > sublet-job.json
# Say what was understood: sublet workload check THIS-FILE

name: {name}
model: {name}                # built-in name (sublet workload models), {{config: path/to/config.json}}, or dimensions
task: pretrain               # pretrain, finetune (all weights) or lora (adapters on a frozen base)
tokens: {tokens}               # trained in the whole run: 300B, 1T, 1.5e12
# Instead of tokens:
#   dataset: 2B
#   epochs: 3
sequence: {sequence}               # tokens per sequence
global_batch: {batch} sequences   # per optimizer step; or in tokens: 4M tokens
precision: bf16              # bf16, fp16, fp8, int8, fp4, fp32, tf32
framework: PyTorch           # PyTorch, Megatron, NeMo, DeepSpeed, JAX, TensorFlow, PaddlePaddle, MindSpore
optimizer: adamw

# With task: lora
#   lora: {{rank: 16, targets: [q, k, v, o]}}

# What is acceptable; what is left out does not matter.
constraints:
  deadline: 60d              # 72h, 2w
  # budget: 5MUSD            # $900k, 1.2M EUR
  # counts: [256, 512]       # exactly these; or a range:
  min_count: 8
  max_count: 2048
  # accelerators: [H100 SXM, A100 SXM 80GB]
  # avoid_accelerators: [V100]
  # providers: [aws, lambda]
  # avoid_providers: [vast]
  # regions: [us-east-1]
  # avoid_regions: [cn-north-1]
  # spot: true               # offers that may be interrupted, too
  # country: DE              # of the user (ISO 3166), for export rules
  # on: 2026-01-31           # the day that the question is asked for

# A layout to insist on; what is left out is chosen.
# layout:
#   tp: 1                    # tensor parallel
#   pp: 1                    # pipeline parallel
#   micro_batch: 1
#   sharding: zero3          # ddp, zero1, zero2, zero3, hsdp
#   recompute: full          # none, selective, full
"""


def template(name: str) -> str:
    """A spec for the built-in model `name`; InputError where there is none."""
    model = builtin_model(name)
    sequence, _ = default_sequence(model)
    batch, _ = default_batch(model, "pretrain", sequence)
    return _TEMPLATE.format(name=model.name, tokens="1T", sequence=sequence, batch=batch)
