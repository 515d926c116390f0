"""Types for numbers in settings: they say what a number may be, and lmpipe/recipe.py refuses others where it reads."""

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True)
class Range:
    """Finite numbers from `least` to `most`, both included unless `above` or `below` takes them out."""

    least: float
    most: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, number: float) -> bool:
        inside = self.least <= number <= self.most and math.isfinite(number)
        return inside and not (self.above and number == self.least) and not (self.below and number == self.most)

    def __str__(self) -> str:
        low = f"{'above ' if self.above else ''}{self.least:g}"
        if self.most == math.inf:
            return low if self.above else f"{low} or more"
        return f"{low if self.above else f'from {low}'} {'and below' if self.below else 'to'} {self.most:g}"


Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
DropShare = Annotated[float, Range(0, 1, below=True)]
"""What a dropout leaves out; not all, for what stays is divided by the share that stays."""
