"""Whether an optimiser step was taken, and which gradient it was if not.

DeepSpeed skips a step whose gradients are not finite, in every precision and without a word that a program could miss:
a run would end well and never have changed a weight. It has looked at the gradients by then, so that asking costs
nothing; only when it throws them away, they are searched for the first that is not finite. Where it keeps them, by
ZeRO stage, is known here alone; where it keeps the masters, in `snw_dist.train.partition`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from snw_dist.train.finite import Suspect, find_suspect
from snw_dist.train.flat import Part, cut


class GradientWatch:
    """Looks at the gradients of a step before DeepSpeed, or plain AdamW, would step with them or drop them."""

    def __init__(
        self,
        optimiser: Any,
        adam: torch.optim.Optimizer,
        zero_stage: int,
        named: Mapping[str, nn.Parameter],
        parts: Mapping[str, Sequence[Part]],
    ) -> None:
        """`optimiser` is DeepSpeed's around `adam`, or `adam` itself at stage 0 in fp32.

        `parts`: the weights that each parameter is made of.
        """
        self.suspect: Suspect | None = None
        self._optimiser, self._stage, self._steps_of_adam = optimiser, zero_stage, 0
        self._parts = {id(parameter): parts[name] for name, parameter in named.items()}
        every = [part.name for name in named for part in parts[name]]
        self._places = {name: place for place, name in enumerate(every)}
        self._parameters = [parameter for parameter in named.values() if parameter.requires_grad]
        adam.register_step_post_hook(self._count)
        if optimiser is not adam:
            self._clear = optimiser.zero_grad
            optimiser.zero_grad = self._look_and_clear
        if zero_stage in (1, 2):  # one look at each gradient, and one word with all ranks: the norm tells it again
            optimiser.has_overflow = lambda *_: False

    def begin(self) -> None:
        """The next thing is the end of a step."""
        self.suspect, self._steps_of_adam = None, 0

    def stepped(self, norm: float | None) -> bool:
        """Whether AdamW has made a step since `begin`, with gradients of this norm; DeepSpeed says -1 for none."""
        legal = norm is not None and math.isfinite(norm) and norm >= 0
        return legal and self.suspect is None and self._steps_of_adam > 0

    def clip(self, largest: float) -> float:
        """What DeepSpeed does not do at stage 0 in fp32: clip the gradients to a norm, or drop them; their norm before.

        0 does not clip. DeepSpeed would multiply all gradients by the clipping of one that is not finite.
        """
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not math.isfinite(norm):
            self.suspect = self._search()
            for parameter in self._parameters:
                parameter.grad = None
        elif largest > 0:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, largest, norm)
        return float(norm)

    def _count(self, *_: Any) -> None:
        self._steps_of_adam += 1

    def _look_and_clear(self, *arguments: Any, **options: Any) -> None:
        """DeepSpeed clears the gradients of a step that it skips; it does so after others too."""
        if self._optimiser.overflow and self.suspect is None:
            self.suspect = self._search()
        self._clear(*arguments, **options)

    def _search(self) -> Suspect | None:
        return find_suspect(
            (self._places[part.name], part.name, grad.reshape(-1)[first - start : last - start])
            for parameter, start, grad in self._gradients()
            for part, first, last in cut(self._parts[id(parameter)], start, start + grad.numel())
        )

    def _gradients(self) -> Iterator[tuple[nn.Parameter, int, torch.Tensor]]:
        """This rank's part of the gradients of a step, averaged over the ranks; from which element of each parameter.

        ZeRO-3 cuts every parameter over the ranks: there the element is not told, and the parameter is one weight.
        """
        if self._stage == 0:
            yield from ((item, 0, item.grad) for item in self._parameters if item.grad is not None)
            return
        optimiser = self._optimiser
        groups = optimiser.fp16_groups if self._stage == 3 else optimiser.params_in_partition
        for number, parameters in enumerate(groups):
            parts = optimiser.averaged_gradients.get(number) or ()  # one a parameter, and padding at the end
            own = [part for part in parts if not hasattr(part, "_zero_padding")]
            start = 0 if self._stage == 3 else optimiser.first_offset[number]  # of the first; the others are begun here
            yield from zip(parameters, (start, *[0] * len(own)), own, strict=False)
