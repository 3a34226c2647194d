"""What every part of the machine is: a frozen dataclass whose numbers are pytree leaves.

A field declared with `number` is an array leaf: it traces, vmaps, differentiates and shards, and a new value
never recompiles anything. A field declared with `static`, `choice` or `count` chooses a shape or a code path and is
part of the tree's structure.

The classes are registered with JAX by hand and not with `jax.tree_util.register_dataclass`, whose unflattening
calls the constructor: constructors here check their numbers, and a gradient or an optimiser's update, which is
also a tree of this class, need not be a possible machine.
"""

import dataclasses
import difflib
import functools
import hashlib
import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

from electronics.validation import checked_number, checked_static, without_plausibility

Number = float | np.ndarray | jax.Array
PartT = TypeVar("PartT", bound="Part")


def number(
    unit: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    plausible: tuple[float | None, float | None] | None = None,
    default: Any = dataclasses.MISSING,
) -> Any:
    """Declare an array leaf in `unit`.

    Values out of the bounds are refused; the bounds keep every result finite in float32. Values outside `plausible`,
    (low, high) with None for an open end, are warned about with the likely slip of unit; 0 never is.

    Args:
        unit: SI unit, "1" for ratios and shares, "bit", "dB".
        least: lowest value allowed.
        above: bound that values must exceed.
        most: highest value allowed.
        below: bound that values must stay under.
        plausible: range of a real machine, with a margin.
        default: value where none is given, for a field that older files lack.
    """
    bounds = {"least": least, "above": above, "most": most, "below": below}
    return dataclasses.field(default=default, metadata={"unit": unit, "bounds": bounds, "plausible": plausible})


def static(default: Any = dataclasses.MISSING) -> Any:
    """A field that is part of the structure: to change it is to compile anew. One of type int is checked as `count`."""
    return dataclasses.field(default=default, metadata={"static": True})


def choice(*allowed: str) -> Any:
    """A static field that holds one of the allowed words, the first by default."""
    return dataclasses.field(default=allowed[0], metadata={"static": True, "allowed": allowed})


def count(default: Any = dataclasses.MISSING, *, most: int = 2**31 - 1) -> Any:
    """A static field that holds a whole number, at least 1 and at most `most`."""
    return dataclasses.field(default=default, metadata={"static": True, "count": True, "most": most})


@dataclass_transform(
    frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(number, static, choice, count)
)
class Part:
    """Base of all parts. Subclassing makes a frozen, keyword-only dataclass and registers it as a pytree.

    Two parts are equal where their type, their structure and all their numbers are. Traced numbers are equal to
    themselves alone. Equal parts have the same hash, so a part may be a key or a static argument of `jax.jit`.
    """

    retired: ClassVar[Mapping[str, str]] = {}
    """What replaces fields that a class once had, by their names, for the message to who still sets them."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
        jax.tree_util.register_pytree_with_keys(cls, _flattener_with_keys(cls), _unflattener(cls), _flattener(cls))

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for field in dataclasses.fields(self):
            check = checked_number if "bounds" in field.metadata else checked_static
            object.__setattr__(self, field.name, check(owner, field, getattr(self, field.name)))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, field.name)) for field in dataclasses.fields(self))))

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with the fields of dotted names changed: `core.replace({"adc.enob": 7.0, "clock": 2e9})`.

        Raises ValueError for a name that is not there (naming the nearest) or a value out of its bounds.
        """
        return _replaced(self, changes, "")

    @classmethod
    def instead_of(cls, name: str) -> str:
        """The end of a message about a field that is not there: what replaced it, or the nearest that there is."""
        if name in cls.retired:
            return f"; {cls.retired[name]}"
        return nearest(name, [field.name for field in dataclasses.fields(cls)])

    def numbers(self) -> dict[str, Any]:
        """All leaves by dotted name, nested parts included."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Part):
                found |= {f"{field.name}.{name}": leaf for name, leaf in value.numbers().items()}
            elif not field.metadata.get("static"):
                found[field.name] = value
        return found


@functools.cache
def _data_fields(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls) if not f.metadata.get("static")]


@functools.cache
def _static_fields(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls) if f.metadata.get("static")]


def _flattener(cls: type) -> Callable[[Part], tuple[tuple, tuple]]:
    """A function of a part that returns its leaves and its static fields.

    A core is flattened at each call of a compiled function. With a getter of all fields that takes 16 us in place of
    27 with a loop over them.
    """
    leaves, structure = _getter(_data_fields(cls)), _getter(_static_fields(cls))
    return lambda part: (leaves(part), structure(part))


def _getter(names: list[str]) -> Callable[[Any], tuple]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda part: tuple(getattr(part, name) for name in names)


def _flattener_with_keys(cls: type):
    keys, flatten = tuple(map(jax.tree_util.GetAttrKey, _data_fields(cls))), _flattener(cls)

    def flatten_with_keys(part: Part):
        children, aux = flatten(part)
        return tuple(zip(keys, children, strict=True)), aux

    return flatten_with_keys


def _unflattener(cls: type):
    def unflatten(aux, children):
        part = object.__new__(cls)
        for name, value in zip(_static_fields(cls) + _data_fields(cls), (*aux, *children), strict=True):
            object.__setattr__(part, name, value)
        return part

    return unflatten


def _same(one: Any, other: Any) -> bool:
    """Whether two fields are equal: numbers by value and shape, whatever array holds them."""
    if one is other:
        return True
    if _is_array(one) and _is_array(other):
        return np.array_equal(np.asarray(one), np.asarray(other))
    # A tracer has no value yet, and a comparison with it would be one more traced operation.
    if isinstance(one, Tracer) or isinstance(other, Tracer):
        return False
    return bool(type(one) is type(other) and one == other)


def _hashable(value: Any) -> Any:
    """Of equal fields the same: of numbers a digest of shape and values, whatever array holds them."""
    if isinstance(value, Tracer):
        return id(value)
    if not _is_array(value):
        return value
    # float64 holds every leaf exactly, and adding 0 turns -0.0 into the 0.0 that it equals.
    numbers = np.asarray(value, np.float64) + 0.0
    return np.shape(value), hashlib.blake2b(numbers.tobytes(), digest_size=16).digest()


def _is_array(value: Any) -> bool:
    number = isinstance(value, int | float | np.generic | np.ndarray | jax.Array)
    return number and not isinstance(value, Tracer | bool)


def _replaced(part: PartT, changes: Mapping[str, Any], path: str) -> PartT:
    """All changes at once, so that what is possible together need not be so on the way."""
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        _check_change(part, head, rest, value, path + name)
        if rest:
            inner.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, deeper in inner.items():
        own[head] = _replaced(own.get(head, getattr(part, head)), deeper, f"{path}{head}.")
    for field in dataclasses.fields(part):
        if field.name in own and "bounds" in field.metadata:
            own[field.name] = checked_number(type(part).__name__, field, own[field.name])
    # What was there before has been warned about before.
    with without_plausibility():
        return dataclasses.replace(part, **own)


def _check_change(part: Part, head: str, rest: str, value: Any, whole: str) -> None:
    if head not in {field.name for field in dataclasses.fields(part)}:
        raise ValueError(f"{type(part).__name__} has no field {head!r} (in {whole!r}){part.instead_of(head)}")
    inner = getattr(part, head)
    if rest and not isinstance(inner, Part):
        raise ValueError(f"{type(part).__name__}.{head} is a value, so {whole!r} names nothing")
    if not rest and isinstance(inner, Part) and not isinstance(value, Part):
        fields = ", ".join(f"{head}.{field.name}" for field in dataclasses.fields(inner))
        raise ValueError(f"{whole!r} is a part; a number goes into one of its fields: {fields}")


def nearest(name: str, names: list[str]) -> str:
    """The end of an error message: the nearest right name where there is one, else all of them."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(names))}"
