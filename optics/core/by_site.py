"""Designs whose sites run on cores of their own, or stay digital.

design = optics.CoresBySite(core, {"*.down": brighter, "head": optics.DIGITAL})
y = optics.emulate(forward)(design, key, params, x)
bill = optics.price(design, optics.trace(forward)(params, x))
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp

from electronics.numerics.matmul import product
from electronics.numerics.xla import skip_unless
from electronics.part import Number, nearest
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.interpreter.plan import Site
from optics.interpreter.priced import PricedDesign
from optics.interpreter.protocols import AssigningCore, Core, ObservableCore, PlacingCore, PreparableCore


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


@jax.tree_util.register_pytree_node_class
class CoresBySite(AssigningCore, Core):
    """A core for each site of a function: a pytree whose leaves are the numbers of all its cores.

    A rule with steps comes before one without, then a name before a pattern and a pattern before a function. Sites
    that no rule holds for run on `default`.

    Args:
        default: the core of all other sites, or `DIGITAL`.
        rules: by what `SiteRule.sites` says, the core or `DIGITAL`; or `SiteRule`s.

    Raises:
        ValueError: without any core; when a run or a price has found the sites, for a rule that holds for none of
            them (with the nearest name), for two rules that fit a site equally closely, and for a step that a scan
            does not have.
    """

    def __init__(
        self,
        default: TensorCore | Digital,
        rules: Mapping[str | tuple[str, ...] | Callable[[Site], bool], TensorCore | Digital] | Sequence[SiteRule],
    ):
        if isinstance(rules, Mapping):
            rules = [SiteRule(sites, core) for sites, core in rules.items()]
        self.default, self.rules = default, tuple(rules)
        for core in self.cores:
            if not isinstance(core, TensorCore | Digital):
                raise ValueError(f"a site runs on a TensorCore or on optics.DIGITAL, got {core!r}")
        if all(isinstance(core, Digital) for core in self.cores):
            raise ValueError("all sites are digital: name a core, as default or in a rule")

    @property
    def cores(self) -> tuple[TensorCore | Digital, ...]:
        """The default, and that of each rule."""
        return (self.default, *(rule.core for rule in self.rules))

    @property
    def machine(self) -> TensorCore:
        """The first core, whose host and digital arithmetic serve all sites."""
        return next(core for core in self.cores if isinstance(core, TensorCore))

    def tree_flatten(self):
        return self.cores, tuple((rule.sites, rule.steps) for rule in self.rules)

    @classmethod
    def tree_unflatten(cls, keys, cores) -> "CoresBySite":
        made = object.__new__(cls)
        made.default = cores[0]
        made.rules = tuple(SiteRule(sites, core, steps) for (sites, steps), core in zip(keys, cores[1:], strict=True))
        return made

    def each(self, function: Callable[[TensorCore], TensorCore]) -> "CoresBySite":
        """The design with every core replaced by what the function makes of it."""
        made = [core if isinstance(core, Digital) else function(core) for core in self.cores]
        return self.tree_unflatten(self.tree_flatten()[1], made)

    def replace(self, changes: Mapping[str, Any]) -> "CoresBySite":
        """The design with the same fields changed in every core, see `TensorCore.replace`."""
        return self.each(lambda core: core.replace(dict(changes)))

    def numbers(self) -> dict[str, Number]:
        """Every number of every core, by the rule and the name of its field."""
        labels = ("default", *(rule.label for rule in self.rules))
        return {
            f"{label}: {name}": value
            for label, core in zip(labels, self.cores, strict=True)
            if isinstance(core, TensorCore)
            for name, value in core.numbers().items()
        }

    def assign(self, sites: Sequence[Site]) -> "AssignedCores":
        """The core of each of these sites. Raises ValueError, see the class."""
        for rule in self.rules:
            if all(rule.rank(site) is None for site in sites):
                paths = sorted({site.path for site in sites})
                hint = nearest(rule.patterns[0], paths) if rule.patterns else ""
                raise ValueError(f"the rule {rule.label} holds for none of the sites{hint}")
        choices = {site.name: self._choices(site) for site in sites}
        return AssignedCores(self.cores, tuple(choices.items()), {})

    def _choices(self, site: Site) -> tuple[int, ...]:
        """Numbers among `cores`, of each step of the scan around the site if they differ, else one."""
        fitting = [(rule.rank(site), number) for number, rule in enumerate(self.rules, start=1)]
        ranked = [(rank, number) for rank, number in fitting if rank is not None]
        length = site.scan_lengths[0] if site.scan_lengths else 1
        for _, number in ranked:
            rule = self.rules[number - 1]
            if beyond := [step for step in rule.steps if not -length <= step < length]:
                raise ValueError(f"the rule {rule.label}: {site.name!r} has {length} steps, and no step {beyond[0]}")
        choices = []
        for step in range(length):
            here = [(rank, number) for rank, number in ranked if self.rules[number - 1].holds_at(step, length)]
            best = max((rank for rank, _ in here), default=None)
            closest = [number for rank, number in here if rank == best]
            if len(closest) > 1:
                first, second = (self.rules[number - 1].label for number in closest[:2])
                raise ValueError(f"the rules {first} and {second} both hold for site {site.name!r}")
            choices.append(closest[0] if closest else 0)
        return tuple(choices) if len(set(choices)) > 1 else (choices[0],)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("CoresBySite has cores for the sites of a function: run it through optics.emulate")

    observe = matmul


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class AssignedCores(PlacingCore, PricedDesign, AssigningCore, PreparableCore):
    """The cores of a `CoresBySite` for the sites of one function.

    Attributes:
        cores: all of them.
        choices: by site name, the number of its core, or one for each step of the scan around it.
        steps: by site name, the step that the scan around it is in.
    """

    cores: tuple[TensorCore | RealizedCore | Digital, ...]
    choices: tuple[tuple[str, tuple[int, ...]], ...] = dataclasses.field(metadata={"static": True})
    steps: dict[str, jax.Array]

    def assign(self, sites: Sequence[Site]) -> Self:
        """Itself: it has been assigned."""
        return self

    def prepare(self) -> "AssignedCores":
        """The cores with the variation of their devices drawn."""
        prepared = tuple(core if isinstance(core, Digital) else core.prepare() for core in self.cores)
        return dataclasses.replace(self, cores=prepared)

    machine = CoresBySite.machine

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core in any step."""
        return any(not isinstance(self.cores[number], Digital) for number in self._numbers(site.name))

    def shares(self, name: str) -> list[tuple[TensorCore | None, float]]:
        """What a site runs on, None for digital, and the share of its executions."""
        numbers = self._numbers(name)
        found = {number: numbers.count(number) / len(numbers) for number in numbers}
        return [(core if isinstance(core := self.cores[n], TensorCore) else None, share) for n, share in found.items()]

    def at(self, name: str) -> Core:
        """The core of a site, in the present step of the scan around it."""
        numbers = self._numbers(name)
        core = self.cores[numbers[0]]
        if len(numbers) == 1 and not isinstance(core, Digital):
            return core
        distinct = sorted(set(numbers))
        which = jnp.asarray([distinct.index(number) for number in numbers])[self.steps[name]]
        return CoreOfStep(tuple(self.cores[number] for number in distinct), which)

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "AssignedCores":
        """The cores in one step of the scan that contains the sites `names`; of nested scans the outermost counts."""
        return dataclasses.replace(self, steps={name: step for name in names} | self.steps)

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`, for the sites of each core."""
        for number, core in enumerate(self.cores):
            ours = [site for site in sites if number in self._numbers(site.name)]
            if ours and not isinstance(core, Digital):
                core.review(ours, {site.name: readings[site.name] for site in ours if site.name in readings})

    def _numbers(self, name: str) -> tuple[int, ...]:
        return dict(self.choices)[name]

    matmul, observe = CoresBySite.matmul, CoresBySite.observe


@dataclasses.dataclass(frozen=True)
class CoreOfStep(ObservableCore, Core):
    """One of several cores, chosen by a traced number; its weights are loaded in each call."""

    cores: tuple[TensorCore | RealizedCore | Digital, ...]
    which: jax.Array

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        def run(core):
            return product(x, w) if isinstance(core, Digital) else core.matmul(x, w, key=key)

        return self._chosen(run)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `matmul`; a digital step has readings of 0."""
        optical = next(core for core in self.cores if not isinstance(core, Digital))
        shapes = jax.eval_shape(lambda: optical.observe(x, w, key=key)[1])

        def run(core):
            if not isinstance(core, Digital):
                return core.observe(x, w, key=key)
            return product(x, w), jax.tree.map(jnp.zeros_like, shapes)

        return self._chosen(run)

    def _chosen(self, run: Callable[[Any], Any]) -> Any:
        def first_of(number: int) -> Any:
            here = partial(run, self.cores[number])
            if number + 1 == len(self.cores):
                return here()
            return skip_unless(self.which == number, here, partial(first_of, number + 1))

        return first_of(0)
