"""What a rule may know beside the reading that it judges."""

from __future__ import annotations

from dataclasses import dataclass, field

from sublet.qualification.judging.chips import Chip, chips
from sublet.qualification.judging.values import Expected


@dataclass(frozen=True)
class Context:
    """`chip`: what the readings say it is. `expected`: what was sold; nothing where nobody said."""

    expected: Expected = field(default_factory=Expected)
    chip: Chip | None = None

    @property
    def sold(self) -> Chip | None:
        """The chip that was sold, with what is known of it."""
        name = self.expected.chip
        return None if name is None else chips().get(name) or Chip(name, known=False)

    @property
    def wanted(self) -> Chip | None:
        """The chip to measure against: the one that was sold, else the one that is there."""
        return self.sold or self.chip
