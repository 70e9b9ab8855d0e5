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
        one = Layouts(*(np.asarray(getattr(layouts, n)[row]) for n in ("tp", "cp", "pp", "vp", "ep", "dp", "micro")))
        return Choice(machine, one, axes.point(option), axes.sharding_at(option))

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
            overlap_tp=bool(self.options.overlap_tp > 0),
            overlap_dp=bool(self.options.overlap_dp > 0),
        )
