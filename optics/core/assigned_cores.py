"""The cores of a design for the sites of one function, and a site whose core differs by step, position or head."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from electronics.numerics.matmul import product
from electronics.numerics.xla import skip_unless
from optics.core import counting
from optics.core.choices import Choice, choices_of
from optics.core.site_rule import Digital, SiteRule, first_core, labels_of
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.interpreter.plan import Site
from optics.interpreter.priced import PricedDesign, Share
from optics.interpreter.protocols import (
    AssigningCore,
    Core,
    ObservableCore,
    OverMatrices,
    PartlyObservableCore,
    PlacingCore,
    PreparableCore,
    SplittingCore,
    joined,
    over_matrices,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class AssignedCores(PlacingCore, PricedDesign, AssigningCore, PreparableCore):
    """The cores of a design for the sites of one function.

    Attributes:
        cores: all of them.
        choices: by site name, the choice of its core, or one for each step of the scan around it.
        rules: what gave each core but the first its sites; their own cores are not used.
        steps: by site name, the step that the scan around it is in.
    """

    cores: tuple[TensorCore | RealizedCore | Digital, ...]
    choices: tuple[tuple[str, tuple[Choice, ...]], ...] = dataclasses.field(metadata={"static": True})
    rules: tuple[SiteRule, ...] = dataclasses.field(metadata={"static": True})
    steps: dict[str, jax.Array]

    def assign(self, sites: Sequence[Site]) -> Self:
        """The same cores for these sites, whose number of positions may be another."""
        digital = [number for number, core in enumerate(self.cores) if isinstance(core, Digital)]
        return dataclasses.replace(self, choices=choices_of(self.rules, digital, sites))

    def prepare(self) -> "AssignedCores":
        """The cores with the variation of their devices drawn."""
        prepared = tuple(core.prepare() if isinstance(core, PreparableCore) else core for core in self.cores)
        return dataclasses.replace(self, cores=prepared)

    @property
    def machine(self) -> TensorCore:
        """The first core, whose host and digital arithmetic serve all sites."""
        return first_core(self.cores)

    @property
    def machines(self) -> tuple[TensorCore, ...]:
        """The cores that are not digital."""
        return tuple(core for core in self.cores if isinstance(core, TensorCore))

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core in any step and at any position."""
        return any(not isinstance(self.cores[n], Digital) for each in self._choices(site.name) for n in each.numbers)

    def shares(self, name: str) -> list[Share]:
        """What a site runs on, None for digital, with shares of its executions and of the vectors of these.

        A share of the heads is one of the executions: the matrices of the others are not written.
        """
        choices = self._choices(name)
        found = Counter((number, each.share(number), each.kind) for each in choices for number in each.numbers)
        cores = [core if isinstance(core, TensorCore) else None for core in self.cores]
        parts = [(cores[n], count / len(choices), share, kind) for (n, share, kind), count in found.items()]
        return [
            Share(core, steps * share) if kind == "heads" else Share(core, steps, share)
            for core, steps, share, kind in parts
        ]

    def at(self, name: str) -> Core:
        """The core of a site, in the present step of the scan around it."""
        choices = self._choices(name)
        distinct = sorted(set(choices))
        cores = tuple(self._chosen(each) for each in distinct)
        if len(cores) == 1 and not isinstance(cores[0], Digital):
            return cores[0]
        which = jnp.asarray([distinct.index(each) for each in choices])[self.steps[name]]
        return CoreOfStep(cores, which)

    def _chosen(self, choice: Choice) -> "TensorCore | RealizedCore | Digital | CoreOfPosition | CoreOfHead":
        if not choice.exceptions:
            return self.cores[choice.number]
        numbers = choice.numbers
        cores, which = tuple(self.cores[number] for number in numbers), np.searchsorted(numbers, choice.by_part)
        return CoreOfHead(cores, which) if choice.kind == "heads" else CoreOfPosition(cores, which, tuple(numbers))

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "AssignedCores":
        """The cores in one step of the scan that contains the sites `names`; of nested scans the outermost counts."""
        return dataclasses.replace(self, steps={name: step for name in names} | self.steps)

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`, for the sites of each core; the message names the rule.

        Where positions or heads of a site run on several cores, each is judged by the diagnostics of all of them.
        """
        for number, (core, label) in enumerate(zip(self.cores, labels_of(self.rules), strict=True)):
            ours = [site for site in sites if any(number in each.numbers for each in self._choices(site.name))]
            if ours and isinstance(core, TensorCore | RealizedCore):
                observed = [site.name for site in ours if site.name in readings]
                found = {name: self._own_steps(name, number, readings[name]) for name in observed}
                counting.review(core if isinstance(core, TensorCore) else core.core, ours, found, label)

    def _own_steps(self, name: str, number: int, seen: Any) -> Any:
        """Diagnostics of a site in the steps of the scan around it that run on a core; a digital step observes none."""
        choices = self._choices(name)
        if len(choices) == 1:
            return seen
        steps = np.flatnonzero([number in each.numbers for each in choices])
        return jax.tree.map(lambda leaf: leaf[steps], seen)

    def _choices(self, name: str) -> tuple[Choice, ...]:
        return dict(self.choices)[name]

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a design has cores for the sites of a function: run it through optics.emulate")

    observe = matmul


@dataclasses.dataclass(frozen=True)
class CoreOfStep(ObservableCore, SplittingCore, Core):
    """One of several cores, chosen by a traced number; its weights are loaded in each call."""

    cores: "tuple[TensorCore | RealizedCore | Digital | CoreOfPosition | CoreOfHead, ...]"
    which: jax.Array

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self._chosen(lambda core: _matmul(core, x, w, key))

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `matmul`; a digital step has readings of 0."""
        return self._observed(lambda core: core.observe(x, w, key=key), lambda: product(x, w))

    def over_matrices(self, run: OverMatrices, *operands: jax.Array) -> tuple[jax.Array, Any]:
        """The products of several matrices, each on the core of the step; a digital step has readings of 0."""
        return self._observed(lambda core: over_matrices(core, run, *operands), lambda: digital_products(*operands))

    def _observed(
        self, run: Callable[[Any], tuple[jax.Array, Any]], digital: Callable[[], jax.Array]
    ) -> tuple[jax.Array, Any]:
        """What `run` returns for the core of the step; in a digital step the products of `digital`, readings of 0."""
        optical = next(core for core in self.cores if not isinstance(core, Digital))
        shapes = jax.eval_shape(lambda: run(optical)[1])

        def run_on(core: Any) -> tuple[jax.Array, Any]:
            return (digital(), jax.tree.map(jnp.zeros_like, shapes)) if isinstance(core, Digital) else run(core)

        return self._chosen(run_on)

    def _chosen(self, run: Callable[[Any], Any]) -> Any:
        def first_of(number: int) -> Any:
            here = partial(run, self.cores[number])
            if number + 1 == len(self.cores):
                return here()
            return skip_unless(self.which == number, here, partial(first_of, number + 1))

        return first_of(0)


@dataclasses.dataclass(frozen=True)
class CoreOfPosition(ObservableCore, Core):
    """Several cores, each for the vectors at its own positions.

    A core is sent zeros in place of the vectors that are not its own: full scales that follow the data do not see
    these, and a vector that comes after one of them finds the receivers at rest. Diagnostics are of the vectors that a
    core is sent, those of all cores joined; digital vectors have none.

    Attributes:
        cores: the cores.
        which: the place in `cores` of the core at each position, [positions]. Vectors are in the order of their
            positions, over and over.
        numbers: of the cores in the design.
    """

    cores: tuple[TensorCore | RealizedCore | Digital, ...]
    which: np.ndarray
    numbers: tuple[int, ...]

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [vectors, rows] @ w [rows, columns] -> [vectors, columns], each vector on its own core."""
        return self._selected([_matmul(core, sent, w, key) for core, sent, _ in self._sent(x)], x)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `matmul`, with diagnostics of the vectors that are not digital."""
        outputs, seen = [], None
        for core, sent, mine in self._sent(x):
            if isinstance(core, Digital):
                outputs.append(product(sent, w))
                continue
            if not isinstance(core, PartlyObservableCore):
                raise TypeError(f"diagnostics by position need a core with a method 'observe_part'; got {core!r}")
            y, found = core.observe_part(sent, w, jnp.asarray(mine), key=key)
            outputs.append(y)
            seen = found if seen is None else joined(seen, found)
        return self._selected(outputs, x), seen

    def _sent(self, x: jax.Array) -> Iterator[tuple[TensorCore | RealizedCore | Digital, jax.Array, np.ndarray]]:
        """Each core, what it is sent, and which of the vectors are its own, [vectors]."""
        for number, core in enumerate(self.cores):
            mine = np.resize(self.which == number, x.shape[0])
            yield core, jnp.where(mine[:, None], x, 0.0), mine

    def _selected(self, outputs: Sequence[jax.Array], x: jax.Array) -> jax.Array:
        """Each vector's product of those of all cores."""
        which = np.resize(self.which, x.shape[0])
        selected = outputs[0]
        for number, y in enumerate(outputs[1:], start=1):
            selected = jnp.where((which == number)[:, None], y, selected)
        return selected


@dataclasses.dataclass(frozen=True)
class CoreOfHead(SplittingCore, Core):
    """Several cores, each for the matrices of its own heads; the matrices of the others never reach it.

    Diagnostics are those of all cores joined; digital heads have none.

    Attributes:
        cores: the cores.
        which: the place in `cores` of the core of each head, [heads]. Matrices are in the order of their heads, over
            and over.
    """

    cores: tuple[TensorCore | RealizedCore | Digital, ...]
    which: np.ndarray

    def over_matrices(self, run: OverMatrices, *operands: jax.Array) -> tuple[jax.Array, Any]:
        """The products of several matrices, each on the core of its head."""
        which = np.resize(self.which, operands[0].shape[0])
        outputs, seen = [], None
        for number, core in enumerate(self.cores):
            own = [operand[np.flatnonzero(which == number)] for operand in operands]
            if isinstance(core, Digital):
                outputs.append(digital_products(*own))
                continue
            y, found = run(core, *own)
            outputs.append(y)
            seen = found if seen is None else joined(seen, found)
        back = np.argsort(np.argsort(which, kind="stable"), kind="stable")
        return jnp.concatenate(outputs)[back], seen

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: a single matrix has no heads."""
        raise ValueError("a core by head multiplies several matrices: run it through optics.emulate")


def digital_products(x: jax.Array, w: jax.Array, _: jax.Array) -> jax.Array:
    """x [matrices, vectors, rows] and w [matrices, columns, rows] -> [matrices, vectors, columns]."""
    return jax.vmap(lambda x, w: product(x, w.T))(x, w)


def _matmul(core: Any, x: jax.Array, w: jax.Array, key: jax.Array) -> jax.Array:
    """The product on a core, or a digital one."""
    return product(x, w) if isinstance(core, Digital) else core.matmul(x, w, key=key)


def each_of(core: Any, function: Callable[[Any], Core]) -> Any:
    """The core of a site, with the function applied to each core that is not digital, if several are in it."""
    if isinstance(core, Digital):
        return core
    if isinstance(core, CoreOfStep | CoreOfPosition | CoreOfHead):
        return dataclasses.replace(core, cores=tuple(each_of(each, function) for each in core.cores))
    return function(core)
