"""A function at its arguments: which of its arrays are the weights, and the plan of its products."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from optics.interpreter import notices
from optics.interpreter.causal import with_shares
from optics.interpreter.dataflow import DATA, CapturedArrays, Origin, named
from optics.interpreter.plan import Plan, Policy, Site, stationary
from optics.interpreter.sites import plan_jaxpr

CAPTURED = "captured"
NAMED = 4
WeightSelection = int | str | Callable[[str], bool] | Sequence[int | str]
"""The arrays that stand on the mask: the number of an argument, "captured" for the arrays of floating-point numbers
that the function captures, several of these, or a function of the path of an array among the arguments."""


class Call(NamedTuple):
    """A planned call of a function.

    Attributes:
        plan: its products.
        inputs: its arrays, and its positional Python floats outside the weights.
        tree: of its result.
        fixed: by name, the numbers and strings among its arguments that are part of the function.
        weights: by the name of an argument, its weights by their path in it; by "captured" those that it captures.
    """

    plan: Plan
    inputs: list[Any]
    tree: Any
    fixed: dict[str, Any]
    weights: dict[str, dict[str, Any]]


def plan_call(
    fun: Callable,
    weights: WeightSelection,
    policy: Policy,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
) -> Call:
    """Plan fun(*args, **kwargs).

    Arrays, shapes, and positional Python floats outside the weights are inputs. All other leaves are part of the
    function: Python bools, ints, strings, an activation function in a module, numbers given by keyword, and floats
    inside the weights, which are settings of a module, such as the rate of a dropout that asks whether it is 0. Raises
    ValueError where `weights` names no array. Warns as `optics.interpreter.notices` says.
    """
    selected = _Selection(weights, args)
    with_paths, tree = jax.tree_util.tree_flatten_with_path((tuple(args), dict(kwargs or {})))
    leaves = [leaf for _, leaf in with_paths]
    by_position = len(jax.tree.leaves(tuple(args)))
    numeric = [i for i, leaf in enumerate(leaves) if _is_array(leaf) or i < by_position and _is_float(leaf)]
    found_origins = {number: selected.origin(*with_paths[number]) for number in numeric}
    selected.check()
    inputs = [number for number in numeric if _is_array(leaves[number]) or found_origins[number] == DATA]
    origins = [found_origins[number] for number in inputs]

    def of_inputs(*values):
        filled = list(leaves)
        for number, value in zip(inputs, values, strict=True):
            filled[number] = value
        positional, by_name = jax.tree.unflatten(tree, filled)
        return fun(*positional, **by_name)

    values = [leaves[number] for number in inputs]
    closed, shape = jax.make_jaxpr(of_inputs, return_shape=True)(*values)
    captured = CapturedArrays(selected.captured)
    found = plan_jaxpr(closed, origins, policy, captured)
    if selected.captured and not captured.weights:
        raise ValueError(f"weights = {CAPTURED!r}: the function captures no array of floating-point numbers")
    sites = found.all_sites()
    notices.warn_of_digital(sites, selected.stated, stacklevel=3, default_policy=policy is stationary)
    given = any(origin == DATA and _is_array(value) for origin, value in zip(origins, values, strict=True))
    if not given and not selected.captured:
        notices.warn_of_argument(sites, selected.stated, stacklevel=3)
    fixed = {
        "argument " + _written(path[1:]): leaf
        for number, (path, leaf) in enumerate(with_paths)
        if number not in inputs and isinstance(leaf, int | float | complex | str)
    }
    return Call(found, values, jax.tree.structure(shape), fixed, selected.values | {"captured": captured.weights})


class _Selection:
    """The arrays that `weights` names.

    Attributes:
        captured: whether those that the function captures are among them.
        values: by the name of an argument, its weights by their path in it.
    """

    def __init__(self, weights: WeightSelection, args: Sequence[Any]):
        self.predicate = weights if callable(weights) else None
        given = () if callable(weights) else (weights,) if isinstance(weights, int | str) else weights
        if not isinstance(given, Sequence) or not all(isinstance(each, int) or each == CAPTURED for each in given):
            raise ValueError(
                f"weights = {weights!r} must be the number of an argument, {CAPTURED!r} for the arrays that the "
                "function captures, several of these, or a function of the path of an array among the arguments"
            )
        self.captured = CAPTURED in given
        self.numbers = [each for each in given if isinstance(each, int)]
        for number in self.numbers:
            if not -len(args) <= number < len(args):
                raise ValueError(f"weights={number} names no argument: the function got {len(args)} by position")
            if not any(map(_is_array, jax.tree.leaves(args[number]))):
                raise ValueError(f"argument {number}, named by `weights`, holds no array")
        self.among = {number % len(args) for number in self.numbers}
        self.values: dict[str, dict[str, Any]] = {}
        self.paths: list[str] = []

    @property
    def stated(self) -> str:
        """The weights as messages name them."""
        if self.predicate is not None:
            return f"arguments that {getattr(self.predicate, '__name__', 'a function')!r} selects"
        arguments = [f"argument {number}" for number in self.numbers]
        return " and ".join([*arguments, *(["captured arrays"] if self.captured else [])])

    def origin(self, path: Sequence[Any], leaf: Any) -> Origin:
        """Origin of an array at a path of ((positional arguments), {arguments by name})."""
        kind, argument, *inside = path
        written, where = _written(path[1:]), _written(inside)
        self.paths.append(written)
        if self.predicate is None:
            holds = kind.idx == 0 and argument.idx in self.among
        else:
            holds = bool(self.predicate(written))
        if not holds:
            return DATA
        if _is_array(leaf):
            self.values.setdefault(f"argument {_written([argument])}", {})[where] = leaf
        return named(where or "weights")

    def check(self) -> None:
        """Raise ValueError for a function that selects no array."""
        if self.predicate is not None and not self.values:
            listed = ", ".join(map(repr, self.paths[:NAMED])) + (" and more" if len(self.paths) > NAMED else "")
            raise ValueError(f"`weights` holds for none of the arrays, whose paths are {listed}")


def _written(path: Sequence[Any]) -> str:
    """A path as "layers.0.q"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def _is_array(leaf: Any) -> bool:
    """Whether a leaf is an array or the shape of one; NumPy's scalars and JAX's arrays of no dimension are."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, float | complex)


def trace(
    fun: Callable, weights: WeightSelection = 0, *, policy: Policy = stationary, causal: bool | None = None
) -> Callable[..., tuple[Site, ...]]:
    """A function of fun's arguments that returns the products in it, without running it.

    Works on `jax.ShapeDtypeStruct` as well as on arrays, so a model need not fit in memory. `weights` names the arrays
    that stand on the mask, as for `emulate`; `policy` says of each site whether it goes on the core.

    Scores of an attention that are hidden by a mask known at trace time (made of iotas, comparisons, captured arrays)
    are left out of the sites' MACs, see `optics.interpreter.causal`. causal: True takes a mask that is data and
    replaces scores by a large negative number for a causal one as well, of queries and keys along its last two axes;
    False counts all scores, whatever hides them. Give `optics.count_elementwise_ops` the same.
    """

    def sites(*args: Any, **kwargs: Any) -> tuple[Site, ...]:
        found = plan_call(fun, weights, policy, args, kwargs).plan
        return tuple(with_shares(found, causal).all_sites())

    return sites
