"""Which accelerator a spelling means: parsing of the name, then memory, form factor, provider and instance type.

Invariant: an answer is never a guess. `accelerator` is set only where the spelling, or what stands beside it, leaves
exactly one chip; where several remain they are all in `candidates`, likeliest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Resolution:
    """What a spelling means.

    `kind` is one of:
    "resolved"         `accelerator` is the canonical name, `candidates` is that one name;
    "ambiguous"        `accelerator` is None, `candidates` are the chips it may be, likeliest first;
    "slice"            part of a chip (MIG, vGPU): `accelerator` is None, `candidates` are the chips it may be cut from;
    "not-accelerator"  known, but nothing that these jobs can run on (FPGA, video engine): both empty;
    "none"             no accelerator is named (an empty spelling and an instance type that is not known to have one);
    "unknown"          nothing is known of that spelling: both empty.
    """

    accelerator: str | None
    candidates: tuple[str, ...]
    count_hint: int | None  # chips that the spelling itself states: "8x H100" -> 8, "tpu-v5p-8" -> 4 (chips of the slice)
    kind: str
    by: str = ""  # what settled it: "name", "memory", "interconnect", "instance type", "provider"
    note: str = ""  # what did not agree, one sentence
    share: float = 1.0  # part of one accelerator that the instance type carries (Azure NV6ads A10: 1/6)


@lru_cache(maxsize=65536)
def resolve(
    raw: str,
    *,
    provider: str | None = None,
    shape: str | None = None,
    memory_gib: float | None = None,
    interconnect: str | None = None,
) -> Resolution:
    """The accelerator that `raw` means.

    `provider` and `shape` (instance type) as the source spells them; `memory_gib` is the memory of ONE accelerator, in
    GB or GiB as the source prints it (40, 80, 94); `interconnect` is the source's word ("SXM", "PCIe", "NVLink", "NVL").
    Never raises: what is not known comes back as kind "unknown".
    """
    return Resolution(None, (), None, "unknown" if raw else "none")
