"""A rule of a design by site: which sites, and the core that they run on."""

import dataclasses
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import jax
import numpy as np

from optics.core.tensor_core import RealizedCore, TensorCore
from optics.interpreter.plan import Site


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Digital:
    """In place of a core: the site stays digital."""


DIGITAL = Digital()


@dataclasses.dataclass(frozen=True)
class SiteRule:
    """Sites, and what they run on.

    Attributes:
        sites: the name of a site, the path of its weights, or a pattern of either with `*`, `?` and `[...]`, as
            "layers.*"; several of these; or a function of a `Site` that says whether the rule holds for it.
        core: the core, or `DIGITAL`.
        steps: steps of the outermost scan around the site that the rule holds for, as layers; negative ones count from
            the end. Empty for all.
        positions: positions of the vectors that the rule holds for, along the last axis of the vectors of a product
            with weights, as tokens; negative ones count from the end. In a `shard_map` they are those of each shard.
            Empty for all.
        heads: matrices of a dot_general of several that the rule holds for, along the last axis that numbers them, of
            `Site.heads`: the heads of keys of an attention, each with the heads of queries that share it. Negative ones
            count from the end; in a `shard_map` they are those of each shard. Empty for all.

    Raises:
        ValueError: for positions or heads that are not a tuple of whole numbers, and for a rule with both.
    """

    sites: str | tuple[str, ...] | Callable[[Site], bool]
    core: TensorCore | Digital
    steps: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("positions", "heads"):
            given = getattr(self, name)
            whole = isinstance(given, tuple) and all(isinstance(each, int | np.integer) for each in given)
            if not whole or any(isinstance(each, bool) for each in given):
                raise ValueError(f"{name} = {given!r} must be a tuple of whole numbers, as (0, 1, -1)")
            object.__setattr__(self, name, tuple(map(int, given)))
        if self.positions and self.heads:
            raise ValueError(f"the rule {self.label} has both positions and heads: make two rules of it")

    @property
    def parts(self) -> tuple[int, ...]:
        """The positions or the heads that the rule holds for; empty for all."""
        return self.positions or self.heads

    def rank(self, site: Site) -> tuple[bool, bool, int] | None:
        """How closely the rule fits a site, larger for closer; None where it does not."""
        closeness = self._closeness(site)
        return None if closeness is None else (bool(self.parts), bool(self.steps), closeness)

    def _closeness(self, site: Site) -> int | None:
        if callable(self.sites):
            return 0 if self.sites(site) else None
        if {site.name, site.path} & set(self.patterns):
            return 2
        fits = any(fnmatchcase(site.path, each) or fnmatchcase(site.name, each) for each in self.patterns)
        return 1 if fits else None

    def holds_at(self, step: int, length: int) -> bool:
        """Whether the rule holds in a step of a scan of `length` steps."""
        return not self.steps or step in self.steps or step - length in self.steps

    def holds_for(self, part: int, parts: int) -> bool:
        """Whether the rule holds at one of the positions, or for one of the heads, of a site, from the start."""
        return not self.parts or part in self.parts or part - parts in self.parts

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names, paths and patterns; none of a function."""
        if callable(self.sites):
            return ()
        return (self.sites,) if isinstance(self.sites, str) else tuple(self.sites)

    @property
    def label(self) -> str:
        """The rule as messages name it."""
        function = getattr(self.sites, "__name__", "a function")
        sites = ", ".join(repr(each) for each in self.patterns) or repr(function)
        steps = f" in steps {list(self.steps)}" if self.steps else ""
        heads = f" for heads {list(self.heads)}" if self.heads else ""
        return sites + steps + heads + (f" at positions {list(self.positions)}" if self.positions else "")


def labels_of(rules: Sequence[SiteRule]) -> tuple[str, ...]:
    """Of each core of a design, the default first, its rule in words."""
    return ("all other sites", *(rule.label for rule in rules))


def first_core(cores: Sequence[TensorCore | RealizedCore | Digital]) -> TensorCore:
    """The first of several that is a core and not `DIGITAL`."""
    return next(core for core in cores if isinstance(core, TensorCore))
