"""The cores of a design for the sites of one function, and a site whose core differs between the steps of a scan."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from electronics.numerics.matmul import product
from electronics.numerics.xla import skip_unless
from optics.core import counting
from optics.core.site_rule import Digital, first_core
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.interpreter.plan import Site
from optics.interpreter.priced import PricedDesign
from optics.interpreter.protocols import AssigningCore, Core, ObservableCore, PlacingCore, PreparableCore


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class AssignedCores(PlacingCore, PricedDesign, AssigningCore, PreparableCore):
    """The cores of a design for the sites of one function.

    Attributes:
        cores: all of them.
        choices: by site name, the number of its core, or one for each step of the scan around it.
        labels: of each core, its rule in words.
        steps: by site name, the step that the scan around it is in.
    """

    cores: tuple[TensorCore | RealizedCore | Digital, ...]
    choices: tuple[tuple[str, tuple[int, ...]], ...] = dataclasses.field(metadata={"static": True})
    labels: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    steps: dict[str, jax.Array]

    def assign(self, sites: Sequence[Site]) -> Self:
        """Itself: it has been assigned."""
        return self

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
        """As `TensorCore.review`, for the sites of each core; the message names the rule."""
        for number, core in enumerate(self.cores):
            ours = [site for site in sites if number in self._numbers(site.name)]
            if ours and not isinstance(core, Digital):
                observed = [site.name for site in ours if site.name in readings]
                found = {name: self._own_steps(name, number, readings[name]) for name in observed}
                counting.review(core if isinstance(core, TensorCore) else core.core, ours, found, self.labels[number])

    def _own_steps(self, name: str, number: int, seen: Any) -> Any:
        """Diagnostics of a site in the steps of the scan around it that run on a core; a digital step observes none."""
        numbers = self._numbers(name)
        if len(numbers) == 1:
            return seen
        steps = np.flatnonzero(np.array(numbers) == number)
        return jax.tree.map(lambda leaf: leaf[steps], seen)

    def _numbers(self, name: str) -> tuple[int, ...]:
        return dict(self.choices)[name]

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a design has cores for the sites of a function: run it through optics.emulate")

    observe = matmul


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
