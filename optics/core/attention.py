"""Attention on light: which operand of a product of two activations stands on the mask."""

import dataclasses
from typing import ClassVar, Literal

import jax
import numpy as np
from jax.core import Tracer

from optics.core.cost import left_by_mask
from optics.core.tensor_core import TensorCore
from optics.interpreter.plan import Site, with_operand_on_mask

Operand = Literal["cheaper", "left", "right"]


@dataclasses.dataclass(frozen=True)
class AttentionOnLight:
    """A policy: all products run on the core, also those of two activations.

    One operand of such a product is written on the mask for the vectors of the other. Few columns waste the light that
    fans out to all of them, and few vectors pay for the writing, so the bill depends on the choice. It also depends on
    what masks leave (`Site.share`), which `reads_shares` asks the planner for.

    Attributes:
        core: whose bill decides, a core of numbers.
        operand: that stands on the mask, the "left" or the "right" one, or the "cheaper" one in energy, the idle power
            while the mask is written included.

    Raises:
        ValueError: for another operand, and for the cheaper one of a core whose numbers are traced, since the choice
            is part of the program.
    """

    core: TensorCore
    operand: Operand = "cheaper"
    reads_shares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.operand not in ("cheaper", "left", "right"):
            raise ValueError(f"operand = {self.operand!r} must be 'cheaper', 'left' or 'right'")
        if self.operand == "cheaper" and any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self.core)):
            raise ValueError("the operand on the mask is part of a program: choose it outside of jit, for one core")

    def __call__(self, site: Site) -> bool | str:
        if site.stationary or site.kind != "dot_general":
            return True
        if self.operand != "cheaper":
            return self.operand
        right, left = (self._energy(with_operand_on_mask(site, side)) for side in ("right", "left"))
        return "right" if right <= left else "left"

    def _energy(self, site: Site) -> float:
        sent, written = left_by_mask(site, self.core.tiles)
        with jax.ensure_compile_time_eval():
            cost = self.core.cost(
                rows=site.rows, columns=site.columns, vectors=sent * float(site.vectors), resident=False
            )
            return written * float(np.sum([np.asarray(energy) for energy in cost.values()]))
