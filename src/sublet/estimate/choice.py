"""One point of the grid: a machine with one layout and one set of options, as numbers and as names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.estimate.inputs import Layouts, Options
from sublet.estimate.layouts import OptionAxes
from sublet.estimate.result import ChosenLayout, Machine


@dataclass(frozen=True)
class Choice:
    """A machine and the layout chosen for it; all arrays are zero-dimensional."""

    machine: Machine
    layout: Layouts
    options: Options
    sharding: str

    @staticmethod
    def from_grid(machine: Machine, layouts: Layouts, row: int, axes: OptionAxes, option: int) -> Choice:
        """The point at `row` of the layouts and `option` of the flattened option axes."""
        recompute, sharding, sequence, offload = np.unravel_index(option, axes.shape)
        name = axes.sharding[int(sharding)]
        full, selective = axes.recompute[int(recompute)]
        zero = {"ddp": 0.0, "zero1": 1.0, "zero2": 2.0, "zero3": 3.0, "hsdp": 3.0}[name]
        options = Options(
            full_recompute=np.asarray(full),
            selective_recompute=np.asarray(selective),
            zero=np.asarray(zero),
            hsdp=np.asarray(float(name == "hsdp")),
            group=np.asarray(axes.group),
            sequence_parallel=np.asarray(axes.sequence_parallel[int(sequence)]),
            offload=np.asarray(axes.offload[int(offload)]),
        )
        one = Layouts(*(np.asarray(getattr(layouts, n)[row]) for n in ("tp", "cp", "pp", "vp", "ep", "dp", "micro")))
        return Choice(machine, one, options, name)

    def named(self, grad_accum: float) -> ChosenLayout:
        """The layout in the words of a report."""
        full = float(self.options.full_recompute)
        recompute = "full" if full == 1.0 else "selective" if self.options.selective_recompute > 0 else "none"
        if 0.0 < full < 1.0:
            recompute = f"full on {full:.0%} of layers"
        lay = self.layout
        return ChosenLayout(
            tp=int(lay.tp),
            cp=int(lay.cp),
            pp=int(lay.pp),
            vp=int(lay.vp),
            ep=int(lay.ep),
            dp=int(lay.dp),
            micro_batch=int(lay.micro),
            grad_accum=int(grad_accum),
            sharding=self.sharding,
            recompute=recompute,
            sequence_parallel=bool(self.options.sequence_parallel > 0) and int(lay.tp) > 1,
            offload=bool(self.options.offload > 0),
        )
