"""Where training stands: what the manifest of a checkpoint says beside the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Progress:
    """Where training stands; equal on all ranks, stored in the manifest of every checkpoint."""

    step: int = 0
    """Optimiser steps done: with the plan it names every pair seen, whatever the number of ranks."""
    best_value: float | None = None
    best_step: int | None = None
    worse_in_a_row: int = 0
    unvalidated: bool = False
    """The validation that is due at this step is still to be made: a stop came in between."""
    skipped: int = 0
    """Steps that fp16 has skipped; they count as steps."""
    skipped_in_a_row: int = 0

    def record(self, value: float) -> bool:
        """Take note of a validation (higher is better); true when it is the best so far, which NaN never is."""
        self.unvalidated = False
        if math.isnan(value) or (self.best_value is not None and value <= self.best_value):
            self.worse_in_a_row += 1
            return False
        self.best_value, self.best_step, self.worse_in_a_row = value, self.step, 0
        return True

    def begin_anew(self) -> None:
        """Forget the best, and have this step validated: it is measured in another way from here on."""
        self.best_value, self.best_step, self.worse_in_a_row, self.unvalidated = None, None, 0, True
