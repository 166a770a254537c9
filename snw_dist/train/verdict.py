"""What all ranks make of an optimiser step together: it counts, it was skipped (fp16 alone), or the run ends there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hpc.ranks.communicator import Communicator
from snw_dist.config import Precision
from snw_dist.train.engine import Engine
from snw_dist.train.finite import NotFiniteError, Suspect, find_suspect
from snw_dist.train.progress import Progress

MOST_SKIPPED = 50
"""Steps in a row. From its first loss scale fp16 is at the smallest one after 35 at most."""
_ADVICE = (
    "all ranks stop. Nothing of this step is saved, and the last checkpoint is untouched. Lower train.learning_rate, "
    "set train.gradient_clipping, or check the labels and the embeddings (snw-dist embed --verify)."
)


def settle_step(engine: Engine, comm: Communicator, progress: Progress, precision: Precision, part: float) -> float:
    """Collective: the sum over the ranks of `part`, this one's part of the loss of the step that has just ended.

    Raises `NotFiniteError` on all ranks, at the same step, when the loss or a gradient is not finite and fp16 did not
    merely skip it. A skipped step is counted in `progress`. A finite loss is no proof: the gradient of a square root
    or a logarithm is not finite before its value is.
    """
    loss, num_stepped, num_exhausted = comm.sums(part, float(engine.stepped), float(engine.scale_is_exhausted))
    if num_stepped == comm.world_size and math.isfinite(loss):
        progress.skipped_in_a_row = 0
        return loss
    problem = f"the loss is {loss}"
    if num_stepped < comm.world_size:
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if math.isfinite(loss):  # otherwise all gradients are like it
            problem = why_no_step(loss, comm.gather(engine.suspect))
        if precision == "fp16" and num_stepped == 0:
            ended = why_to_end(progress.skipped_in_a_row, num_exhausted > 0, problem)
            if ended is None:
                return loss
            problem = ended
    cause = "" if math.isfinite(loss) else bad_weights(engine)
    raise NotFiniteError(f"step {progress.step + 1}: {problem}{cause}; {_ADVICE}")


def why_no_step(loss: float, suspects: Sequence[Sequence[Any] | None]) -> str:
    """In words, from what each rank has found; of several parameters the first one of the network is named."""
    found = [(Suspect(*suspect), rank) for rank, suspect in enumerate(suspects) if suspect is not None]
    if not found:
        return f"the optimiser did not take the step; the loss is {loss:.6g}"
    bad = [item for item in found if not item[0].finite]
    if bad:
        suspect, rank = min(bad)
        text = f"the gradient of {suspect.name!r} is not finite ({suspect.value}, rank {rank})"
    else:
        suspect, rank = max(found, key=lambda item: abs(float(item[0].value)))
        largest = f"the largest is in {suspect.name!r} ({suspect.value}, rank {rank})"
        text = f"the norm of the gradients is not finite; {largest}"
    return f"{text}; the loss is {loss:.6g}"


def why_to_end(skipped_in_a_row: int, scale_is_exhausted: bool, problem: str) -> str | None:
    """Why fp16 cannot go on skipping, or None: a lower loss scale must be left to try, and not too many have been."""
    if scale_is_exhausted:
        reason = "skipped at the smallest loss scale"
    elif skipped_in_a_row >= MOST_SKIPPED:
        reason = f"the {skipped_in_a_row}th step in a row that was skipped"
    else:
        return None
    return f"{reason}: {problem}. Continue with train.precision 'bf16' and --allow-precision-change"


def bad_weights(engine: Engine) -> str:
    """Collective: a weight that is not finite, trained or frozen, as the cause of something else that is not; or ""."""
    weights = engine.full_weights().items()
    suspect = find_suspect((place, name, weight) for place, (name, weight) in enumerate(weights))
    return "" if suspect is None or suspect.finite else f"; the weights of {suspect.name!r} are not finite"
