"""Checks of a part's fields: what cannot be is refused, and what is implausible is warned about with the likely slip.

The plausible range of a number is wider than that of its constants' low to high ends in all presets and devices. A
value outside it is possible, but is more often a number in another unit (1550 nm for 1550e-9 m) or in percent.
"""

import contextlib
import contextvars
import dataclasses
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

_SMALL = {1e-3: "m", 1e-6: "u", 1e-9: "n", 1e-12: "p", 1e-15: "f"}
_LARGE = {1e3: "k", 1e6: "M", 1e9: "G", 1e12: "T"}
# A prefix on a logarithm, a count of bits or an inverse is no unit that anyone writes.
_WITHOUT_PREFIX = ("1", "bit", "dB", "dB/Hz", "K", "1/K", "1/s", "1/sqrt(s)", "1/bit")
_MOST_SLIPS = 2
# A number with a prefixed unit is of usual size: nobody writes 5e-9 mA.
_USUAL = (1e-3, 1e7)
# The constants' files are read with the help of this module, so it cannot take the charge from them.
_ELEMENTARY_CHARGE = 1.602176634e-19
_WHOLE_MOST = 2**31 - 1
# A dataclass's own constructor is generated code, whose file is "<string>".
_ROOMS = tuple(str(Path(__file__).parents[1] / room) for room in ("electronics", "optics"))
_PASSED_OVER = ("<", dataclasses.__file__, *_ROOMS)

_cause: contextvars.ContextVar[str] = contextvars.ContextVar("cause", default="")
_quiet: contextvars.ContextVar[bool] = contextvars.ContextVar("quiet", default=False)


class PlausibilityWarning(UserWarning):
    """A number is allowed but outside its plausible range; the message states the range and the likely slip."""


@contextlib.contextmanager
def caused_by(cause: str) -> Iterator[None]:
    """Within it, messages begin with what the user asked for: "photons = 1e30 per MAC" and not the power it takes."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


@contextlib.contextmanager
def without_plausibility() -> Iterator[None]:
    """Within it nothing is warned about, for values that the library itself sets for a moment."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def checked_number(owner: str, field: dataclasses.Field, value: Any) -> Any:
    """The value of a numeric field as float32.

    Warns with `PlausibilityWarning` where it is allowed but implausible. Raises ValueError where it is no number, not
    finite in float32 or out of bounds. Tracers pass unchecked.
    """
    if isinstance(value, Tracer):
        return value
    name, unit, bounds = f"{owner}.{field.name}", field.metadata["unit"], field.metadata["bounds"]
    concrete = _as_float32(value)
    if concrete is None:
        raise ValueError(f"{because()}{name} must be a number in {unit}, got {_shown(value)}")
    plausible = field.metadata["plausible"]
    if not np.all(np.isfinite(concrete)) or not _within(concrete, **bounds):
        hint = slip(_first_outside(concrete, bounds), unit, plausible or (bounds["least"], bounds["most"]))
        raise ValueError(f"{because()}{name} = {_shown(value)} {unit} is out of range: {_allowed(bounds)}{hint}")
    if plausible is not None and not _quiet.get():
        _warn_of_implausible(name, unit, concrete, plausible)
    return value if isinstance(value, jax.Array) and value.dtype == np.float32 else concrete[()]


def checked_static(owner: str, field: dataclasses.Field, value: Any) -> Any:
    """The value of a static field; one of the allowed words, or a whole number of at least 1 where it counts.

    NumPy's whole numbers become Python's, so that a core is saved and compared as what it is.
    """
    name, allowed = f"{owner}.{field.name}", field.metadata.get("allowed")
    if allowed and value not in allowed:
        raise ValueError(f"{name} = {value!r} is none of: {', '.join(allowed)}")
    if field.type is not int:
        return value
    whole = int(value) if isinstance(value, np.integer) else value
    most = field.metadata.get("most", _WHOLE_MOST)
    if isinstance(whole, bool) or not isinstance(whole, int) or whole < 1:
        raise ValueError(f"{name} = {_shown(value)} must be a whole number >= 1, of type int")
    if whole > most:
        raise ValueError(f"{name} = {_shown(value)} must be a whole number <= {most}")
    return whole


def slip(value: float, unit: str, wanted: tuple[float | None, float | None]) -> str:
    """The end of a message: the values within `wanted` that `value` is in a prefixed unit, in percent or by its sign.

    >>> slip(1550.0, "m", (3e-7, 2e-5))
    '; did you mean 1.55e-06 m (1550 nm)?'

    The nearest prefix comes first, after percent, sign, ohms and electrons.
    """
    low, high = (-math.inf if wanted[0] is None else wanted[0]), (math.inf if wanted[1] is None else wanted[1])
    # What follows from another number was typed in no unit.
    if not math.isfinite(value) or value == 0 or _cause.get():
        return ""
    meant = []
    if unit == "1" and value > 1:
        meant.append((value / 100, f"{value:g} %"))
    if unit == "dB/Hz":
        meant.append((-value, f"{value:g} without its sign"))
    if unit == "S":
        meant.append((1 / value, f"{value:g} Ohm"))
    if unit == "C":
        meant.append((value * _ELEMENTARY_CHARGE, f"{value:g} electrons"))
    if unit not in _WITHOUT_PREFIX and _USUAL[0] <= value <= _USUAL[1]:
        # Rates are large and stated in GHz; everything else is small and stated in nm, mW or pJ.
        prefixes = _LARGE if unit == "Hz" else _SMALL
        meant += [(value * factor, f"{value:g} {prefix}{unit}") for factor, prefix in prefixes.items()]
    fitting: dict[str, str] = {}
    for each, how in meant:
        if low <= each <= high:
            fitting.setdefault(f"{each:.6g}{'' if unit == '1' else f' {unit}'}", how)
    said = [f"{each} ({how})" for each, how in list(fitting.items())[:_MOST_SLIPS]]
    return f"; did you mean {' or '.join(said)}?" if said else ""


def because() -> str:
    """The beginning of a message about what follows from another number, see `caused_by`."""
    cause = _cause.get()
    return f"{cause}: " if cause else ""


def _as_float32(value: Any) -> np.ndarray | None:
    """None where the value is no real number or array of them."""
    try:
        raw = np.asarray(value)
        if raw.dtype == np.bool_ or not (jax.numpy.issubdtype(raw.dtype, np.number) or isinstance(value, int)):
            return None
        if jax.numpy.issubdtype(raw.dtype, np.complexfloating):
            return None
        with np.errstate(over="ignore"):
            return raw.astype(np.float32)
    except OverflowError:
        # An integer of hundreds of digits.
        return np.asarray(np.inf, np.float32)
    except (TypeError, ValueError):
        return None


def _warn_of_implausible(name: str, unit: str, concrete: np.ndarray, plausible: tuple[float | None, float | None]):
    low, high = plausible
    outside = concrete[_beyond(concrete, low, high)]
    if not outside.size:
        return
    value = float(outside.flat[0])
    text = (
        f"{because()}{name} = {value:g} {unit} is outside the plausible range, {_spelled(low, high)} {unit}"
        f"{slip(value, unit, plausible)}"
    )
    warnings.warn(text, PlausibilityWarning, stacklevel=_level_of_the_caller())


def _beyond(values: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    """Where values are implausible; 0 never is, as it stands for an effect that is not there."""
    wrong = np.zeros(values.shape, bool)
    if low is not None:
        wrong |= values < low
    if high is not None:
        wrong |= values > high
    return wrong & (values != 0)


def _level_of_the_caller() -> int:
    """How many frames up the first one outside the library is, so that a warning names the user's own line."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(_PASSED_OVER):
        frame, level = frame.f_back, level + 1
    return level


def _first_outside(concrete: np.ndarray, bounds: Mapping[str, float | None]) -> float:
    return next((float(value) for value in concrete.flat if not _within(value, **bounds)), math.nan)


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


def _spelled(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _shown(value: Any) -> str:
    """A value in a message, however long it is; Python refuses to write integers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = str(value) if isinstance(value, int | float | np.generic | np.ndarray | jax.Array) else repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
