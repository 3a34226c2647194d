"""A rule of a design by site: which sites, and the core that they run on."""

import dataclasses
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import jax

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
    """

    sites: str | tuple[str, ...] | Callable[[Site], bool]
    core: TensorCore | Digital
    steps: tuple[int, ...] = ()

    def rank(self, site: Site) -> tuple[bool, int] | None:
        """How closely the rule fits a site, larger for closer; None where it does not."""
        if callable(self.sites):
            return (bool(self.steps), 0) if self.sites(site) else None
        if {site.name, site.path} & set(self.patterns):
            return bool(self.steps), 2
        fits = any(fnmatchcase(site.path, each) or fnmatchcase(site.name, each) for each in self.patterns)
        return (bool(self.steps), 1) if fits else None

    def holds_at(self, step: int, length: int) -> bool:
        """Whether the rule holds in a step of a scan of `length` steps."""
        return not self.steps or step in self.steps or step - length in self.steps

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
        return sites + (f" in steps {list(self.steps)}" if self.steps else "")


def first_core(cores: Sequence[TensorCore | RealizedCore | Digital]) -> TensorCore:
    """The first of several that is a core and not `DIGITAL`."""
    return next(core for core in cores if isinstance(core, TensorCore))
