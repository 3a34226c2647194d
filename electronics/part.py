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
from collections.abc import Mapping
from typing import Any, ClassVar, Self, dataclass_transform

import jax
import numpy as np

Number = float | np.ndarray | jax.Array


def number(unit: str, *, least=None, above=None, most=None, below=None) -> Any:
    """An array leaf in `unit`; the bounds are what a real machine allows (`above`/`below` exclude the bound)."""
    return dataclasses.field(
        metadata={"unit": unit, "bounds": {"least": least, "above": above, "most": most, "below": below}}
    )


def static(default: Any = dataclasses.MISSING) -> Any:
    """A field that is part of the structure: to change it is to compile anew."""
    return dataclasses.field(default=default, metadata={"static": True})


def choice(*allowed: str) -> Any:
    """A static field that holds one of the allowed words, the first by default."""
    return dataclasses.field(default=allowed[0], metadata={"static": True, "allowed": allowed})


def count(default: Any = dataclasses.MISSING) -> Any:
    """A static field that holds a whole number, at least 1."""
    return dataclasses.field(default=default, metadata={"static": True, "count": True})


@dataclass_transform(
    frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(number, static, choice, count)
)
class Part:
    """Base of all parts. Subclassing makes a frozen, keyword-only dataclass and registers it as a pytree."""

    retired: ClassVar[Mapping[str, str]] = {}
    """What replaces fields that a class once had, by their names, for the message to who still sets them."""

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
        jax.tree_util.register_pytree_with_keys(cls, _flatten_with_keys, _unflattener(cls), _flatten)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "bounds" in field.metadata:
                value = _checked(type(self).__name__, field, getattr(self, field.name))
                object.__setattr__(self, field.name, value)
            _check_static(type(self).__name__, field, getattr(self, field.name))

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


# A core is flattened at every call of a compiled function, so its fields are looked up once.
@functools.cache
def _data_fields(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls) if not f.metadata.get("static")]


@functools.cache
def _static_fields(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls) if f.metadata.get("static")]


def _flatten(part: Part):
    cls = type(part)
    return tuple(getattr(part, n) for n in _data_fields(cls)), tuple(getattr(part, n) for n in _static_fields(cls))


def _flatten_with_keys(part: Part):
    names = _data_fields(type(part))
    children, aux = _flatten(part)
    keys = (jax.tree_util.GetAttrKey(name) for name in names)
    return tuple(zip(keys, children, strict=True)), aux


def _unflattener(cls: type):
    def unflatten(aux, children):
        part = object.__new__(cls)
        for name, value in zip(_static_fields(cls) + _data_fields(cls), (*aux, *children), strict=True):
            object.__setattr__(part, name, value)
        return part

    return unflatten


def _checked(owner: str, field: dataclasses.Field, value: Any) -> Any:
    """The value as float32, refused if it is concrete and impossible. Tracers pass: they are checked nowhere."""
    if isinstance(value, jax.core.Tracer):
        return value
    try:
        concrete = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{owner}.{field.name} must be a number in {field.metadata['unit']}, got {value!r}") from None
    allowed = _allowed(field.metadata["bounds"])
    if not np.all(np.isfinite(concrete)) or not _within(concrete, **field.metadata["bounds"]):
        raise ValueError(f"{owner}.{field.name} = {value} {field.metadata['unit']} is out of range: {allowed}")
    return value if isinstance(value, jax.Array) and value.dtype == np.float32 else concrete[()]


def _check_static(owner: str, field: dataclasses.Field, value: Any) -> None:
    allowed = field.metadata.get("allowed")
    if allowed and value not in allowed:
        raise ValueError(f"{owner}.{field.name} = {value!r} is none of: {', '.join(allowed)}")
    if field.metadata.get("count") and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{owner}.{field.name} = {value!r} must be a whole number >= 1")


def _within(value: np.ndarray, least, above, most, below) -> bool:
    return all(
        bool(np.all(holds))
        for bound, holds in (
            (least, least is None or value >= least),
            (above, above is None or value > above),
            (most, most is None or value <= most),
            (below, below is None or value < below),
        )
        if bound is not None
    )


def _allowed(bounds: Mapping[str, float | None]) -> str:
    signs = {"least": ">=", "above": ">", "most": "<=", "below": "<"}
    given = [f"{signs[kind]} {bound:g}" for kind, bound in bounds.items() if bound is not None]
    return "it must be finite" + "".join(f" and {rule}" for rule in given)


def _replaced(part: Part, changes: Mapping[str, Any], path: str) -> Part:
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
