"""A function of the user's own on batches of data, as the subject of a sweep."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optics
from experiments.common.options import check_integer, short_repr
from experiments.sweeps.subjects import drive, metrics
from experiments.sweeps.subjects.function_digest import array_digest, jaxpr_digest
from experiments.sweeps.subjects.metrics import Metric
from experiments.sweeps.subjects.subject import digest
from optics.core.by_site import Machine
from optics.datapath.diagnostics import total
from optics.interpreter.protocols import prepared

MOST_BATCHES = 10**6
MOST_TOKENS = 10**9


@dataclasses.dataclass(frozen=True, eq=False)
class Function:
    """A function on batches of data, with scores of its own. Each batch is a sample.

    The products of `score` with `params` run on the core: batch b of draw k of the noise is

        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(sweep.seed), k), b)
        figures = optics.emulate(score)(core, key, params, batch, reference)

    with weights loaded once for all batches. `reference` is `forward(params, batch)` by exact digital arithmetic,
    computed once for the sweep; None without `forward`. The bill is that of `optics.trace(forward)` on one batch, or of
    `optics.trace(score)` without `forward`; light is billed for the drive that this function has, as measured.

    Attributes:
        score: function of (params, batch, reference) that returns figures by name, each a number, or an array of one
            number per example, of which the mean over the batch counts. It can be traced by JAX.
        params: pytree of arrays, the weights.
        data: pytree of arrays whose leading axis counts the batches; `batch` is this tree without that axis.
        metrics: label, unit and better side of the figures that a sweep may ask for, by name.
        forward: function of (params, batch) whose exact result is the reference.
        tokens: tokens or examples in a batch, which `joules_per_token` divides by.
        example: what one of them is called in units: with "image", `joules_per_token` is in J/image.
        name: name of the function for titles; that of `forward`, or else of `score`, unless given.
    """

    score: Callable[[Any, Any, Any], Mapping[str, Any]]
    params: Any
    data: Any
    metrics: Mapping[str, Metric]
    _: dataclasses.KW_ONLY
    forward: Callable[[Any, Any], Any] | None = None
    tokens: int = 1
    example: str = "token"
    name: str = ""

    @property
    def own_metrics(self) -> Mapping[str, Metric]:
        if self.example == Function.example:
            return self.metrics
        per_example = dataclasses.replace(metrics.METRICS["joules_per_token"], unit=f"J/{self.example}")
        return {**self.metrics, "joules_per_token": per_example}

    @property
    def offered(self) -> Sequence[str]:
        return (*self.metrics, *metrics.READINGS)

    @property
    def samples(self) -> int:
        return jax.tree.leaves(self.data)[0].shape[0]

    def check(self) -> None:
        if not callable(self.score):
            raise ValueError(f"on.score = {short_repr(self.score)} must be a function of (params, batch, reference)")
        if self.forward is not None and not callable(self.forward):
            raise ValueError(f"on.forward = {short_repr(self.forward)} must be a function of (params, batch), or None")
        if not isinstance(self.metrics, Mapping) or not self.metrics:
            raise ValueError(f"on.metrics = {short_repr(self.metrics)} must name at least one figure of score")
        metrics.check_own(self.metrics)
        check_integer("on.tokens", self.tokens, 1, MOST_TOKENS)
        for field in ("name", "example"):
            if not isinstance(word := getattr(self, field), str) or not (word or field == "name"):
                raise ValueError(f"on.{field} = {short_repr(word)} must be a word")
        _check_params(self.params)
        _check_data(self.data)
        if missing := [name for name in self.metrics if name not in self.figures]:
            raise ValueError(
                f"on.metrics names {missing[0]!r}, which score does not give; it gives {', '.join(self.figures)}"
            )
        if not any(site.optical for site in self.sites):
            raise ValueError(
                f"on.{'score' if self.forward is None else 'forward'} multiplies no array of params on a core: "
                "optics.report says of each product why it stays digital"
            )

    def check_design(self, design: optics.CoresBySite) -> None:
        design.assign(self.sites)
        if self.forward is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optics.DigitalProductWarning)
                design.assign(optics.trace(self.score)(*self.shapes))

    def load(self) -> "LoadedFunction":
        return LoadedFunction(self)

    def describe(self) -> Mapping[str, Any]:
        programs = [jaxpr_digest(self.score, *self.shapes)]
        if self.forward is not None:
            programs.append(jaxpr_digest(self.forward, *self.shapes[:2]))
        return {
            "kind": "function",
            "name": self.name or getattr(self.billed, "__name__", "function"),
            "score": digest(*programs)[:16],
            "params": array_digest(self.params)[:16],
            "data": array_digest(self.data)[:16],
            "batches": self.samples,
            "tokens": self.tokens,
        }

    @cached_property
    def shapes(self) -> tuple[Any, Any, Any]:
        """Shapes of (params, batch, reference)."""
        params = jax.tree.map(_shape, self.params)
        batch = jax.tree.map(lambda array: _shape(array, first=1), self.data)
        return params, batch, None if self.forward is None else jax.eval_shape(self.forward, params, batch)

    @cached_property
    def figures(self) -> Mapping[str, jax.ShapeDtypeStruct]:
        """Shapes of the figures by name. Raises ValueError unless `score` gives figures by name."""
        found = jax.eval_shape(self.score, *self.shapes)
        if not isinstance(found, Mapping) or not found:
            raise ValueError(f"on.score gives {short_repr(found)}: it must return figures by name, in a dict")
        for name, figure in found.items():
            if not isinstance(figure, jax.ShapeDtypeStruct) or figure.ndim > 1:
                shape = getattr(figure, "shape", type(figure).__name__)
                raise ValueError(f"on.score gives {name!r} of shape {shape}: it must be one number, or one per example")
            if not _is_number(figure.dtype) or jnp.issubdtype(figure.dtype, np.complexfloating):
                raise ValueError(f"on.score gives {name!r} of {figure.dtype}: it must be real numbers")
        return found

    @cached_property
    def sites(self) -> tuple[optics.Site, ...]:
        """The products of one batch that are billed."""
        with warnings.catch_warnings():
            # `check` refuses a function without a product on the core, and emulation warns of those that stay digital.
            warnings.simplefilter("ignore", optics.DigitalProductWarning)
            return optics.trace(self.billed)(*self.billed_arguments(*self.shapes))

    @property
    def billed(self) -> Callable[..., Any]:
        """The function whose products are billed: `forward`, or else `score`."""
        return self.score if self.forward is None else self.forward

    def billed_arguments(self, params: Any, batch: Any, reference: Any) -> tuple[Any, ...]:
        """Return the arguments of `billed`."""
        return (params, batch, reference) if self.forward is None else (params, batch)


class LoadedFunction:
    """Parameters, batches and references in memory."""

    def __init__(self, subject: Function):
        params, data = jax.tree.map(jnp.asarray, (subject.params, subject.data))
        reference = None
        if (forward := subject.forward) is not None:
            # One batch after the other, as in `score`: all at once would take the memory of all.
            reference = jax.jit(lambda params, data: jax.lax.map(lambda batch: forward(params, batch), data))(
                params, data
            )
        self.subject, self.operands = subject, (params, data, reference)
        self.macs = float(subject.samples * sum(site.macs for site in subject.sites))
        self.samples = subject.samples
        self.program = ("function", subject)
        self.drive_of = ""

    def score(
        self, core: Any, key: jax.Array, number: jax.Array, operands: Any, names: Sequence[str]
    ) -> dict[str, jax.Array]:
        params, data, reference = operands
        realized = prepared(core)
        observe = metrics.needs(names, "readings")
        run = optics.emulate(self.subject.score, diagnostics=observe)
        if self.samples > 1:
            load = optics.load(self.subject.score, diagnostics=observe)
            realized = load(realized, params, *self.subject.shapes[1:])
        draw = jax.random.fold_in(key, number)

        def call(inputs):
            part, batch, exact = inputs
            returned = run(realized, jax.random.fold_in(draw, part), params, batch, exact)
            figures, seen = returned if observe else (returned, None)
            own = [name for name in names if name in self.subject.metrics]
            values = {name: jnp.mean(jnp.asarray(figures[name], jnp.float32)) for name in own}
            return values if seen is None else values | metrics.of_readings(names, total(list(seen.values())))

        return jax.lax.map(call, (jnp.arange(self.samples, dtype=jnp.uint32), data, reference))

    def digital(self, operands: Any) -> Any:
        """Return what the billed function gives on each batch, by exact digital arithmetic."""
        params, *rest = operands
        return jax.lax.map(lambda each: self.subject.billed(*self.subject.billed_arguments(params, *each)), rest)

    def drive(self, core: Machine) -> drive.Drive:
        return drive.measure_drive(core, self.subject.billed, self._calls())

    def price(self, core: Any, drives: Mapping[str, Any]) -> tuple[optics.Bill, int]:
        return optics.price(core, self.subject.sites, readings=drives), self.subject.tokens

    def digest(self) -> str:
        described = self.subject.describe()
        return digest(*(str(described[name]) for name in ("score", "params", "data")))

    def _calls(self) -> Iterator[tuple[Any, ...]]:
        params, *rest = self.operands
        leaves, tree = jax.tree.flatten(rest)
        for batch in zip(*leaves, strict=True):
            yield self.subject.billed_arguments(params, *jax.tree.unflatten(tree, batch))


def _check_params(params: Any) -> None:
    leaves = _arrays("params", params)
    for name, leaf in leaves.items():
        if jnp.issubdtype(leaf.dtype, np.inexact) and not np.all(np.isfinite(np.asarray(leaf))):
            raise ValueError(f"on.{name} must be finite, and holds NaN or infinity")


def _check_data(data: Any) -> None:
    leaves = _arrays("data", data)
    for name, leaf in leaves.items():
        if not leaf.ndim:
            raise ValueError(f"on.{name} is a single number: the leading axis of each array of data counts batches")
    batches = {name: leaf.shape[0] for name, leaf in leaves.items()}
    if len(set(batches.values())) > 1:
        stated = ", ".join(f"{name} {count}" for name, count in batches.items())
        raise ValueError(f"on.data must have equally many batches in all arrays, and has {stated}")
    check_integer("batches of on.data", next(iter(batches.values())), 1, MOST_BATCHES)


def _arrays(what: str, tree: Any) -> dict[str, Any]:
    """The leaves of a tree by name. Raises ValueError unless it holds arrays of numbers, at least one, and no more."""
    leaves = {what + jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    for name, leaf in leaves.items():
        if not isinstance(leaf, np.ndarray | np.generic | jax.Array) or not _is_number(leaf.dtype):
            raise ValueError(f"on.{name} = {short_repr(leaf)} must be an array of numbers; let score capture the rest")
    if not leaves:
        raise ValueError(f"on.{what} holds no array: it must be a tree of at least one")
    return leaves


def _is_number(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_))


def _shape(array: Any, first: int = 0) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape[first:], jax.dtypes.canonicalize_dtype(array.dtype))
