"""Numbers of the core that are trained beside the weights, against loss and watts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optics
from experiments.sweeps.definition import fields
from optics.analysis.inverse import Knob, hidden_of, value_of
from optics.core.by_site import Machine
from optics.interpreter.plan import Site


@dataclasses.dataclass(frozen=True)
class Hardware:
    """The trained numbers of a core and the products that it is priced by; part of the structure of a step.

    Each number is a function of a hidden variable z, low (high / low)^s(z) on a logarithmic axis and
    low + (high - low) s(z) on a linear one, s the logistic function. No update leaves the bounds.

    Attributes:
        knobs: names and bounds, as axes of sweeps name fields: "adc.enob", "clock", "light.photons_per_mac".
        sites: products of one batch, as `optics.trace` returns them.
    """

    knobs: tuple[tuple[str, Knob], ...] = ()
    sites: tuple[Site, ...] = ()

    def start(self, core: Any) -> dict[str, jax.Array]:
        """Return the hidden variables of a core's own numbers.

        Raises:
            ValueError: for a name that is no number of the core, or a number out of its bounds.
        """
        values = {name: _value(core, name) for name, _ in self.knobs}
        return {
            name: jnp.asarray(hidden_of(f"{name} of the core", knob, values[name]), jnp.float32)
            for name, knob in self.knobs
        }

    def values(self, hidden: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return the numbers from the hidden variables."""
        return {name: jnp.asarray(value_of(knob, hidden[name])) for name, knob in self.knobs}

    def core(self, core: Any, hidden: Mapping[str, jax.Array]) -> Any:
        """Return the core with its trained numbers."""
        return fields.with_values(core, self.values(hidden)) if self.knobs else core

    def log_watts(self, core: Any, drives: Mapping[str, Any]) -> jax.Array:
        """Return ln(watts at 1 exaOPS) of the products on a core, at mean drives by site name."""
        return jnp.log(optics.price(core, self.sites, readings=drives).watts_at())


def hardware(knobs: Mapping[str, Knob], core: Any, sites: Sequence[Site]) -> Hardware:
    """Return the trained numbers of a core.

    Args:
        knobs: bounds by name.
        core: the starting point.
        sites: products of the function on one batch.

    Raises:
        ValueError: for a core without such numbers, a field that is no number, bounds that are not, or a start out of
            them.
    """
    if knobs and not isinstance(core, Machine):
        raise ValueError(f"knobs are numbers of a TensorCore or a CoresBySite; this core is a {type(core).__name__}")
    for name, knob in knobs.items():
        if not fields.is_number(core, name):
            raise ValueError(f"knobs: {name!r} is a choice and no number, so it has no gradient")
        if not (np.isfinite(knob.low) and knob.low < knob.high < np.inf) or (knob.logarithmic and knob.low <= 0):
            raise ValueError(f"knobs: {name} has the bounds {knob.low:g} and {knob.high:g}, which are no range")
    ranges = tuple((name, Knob(float(low), float(high), bool(log))) for name, (low, high, log) in knobs.items())
    made = Hardware(ranges, tuple(sites))
    made.start(core)
    for name, knob in ranges:
        for bound in knob[:2]:
            try:
                fields.with_values(core, {name: bound})
            except ValueError as error:
                raise ValueError(f"knobs: {name} may reach {bound:g}, which the core cannot have: {error}") from None
    return made


def with_device(core: Any, number: Any) -> Any:
    """Return a core whose fixed variation is that of another serial number.

    Raises:
        ValueError: for a core of another kind, whose device nobody can tell.
    """
    if isinstance(core, Machine):
        return core.replace({"device": number})
    inner = getattr(core, "core", None)
    if dataclasses.is_dataclass(core) and not isinstance(core, type) and isinstance(inner, Machine):
        return dataclasses.replace(core, core=with_device(inner, number))  # pyright: ignore[reportCallIssue]
    raise ValueError(f"device = 'redrawn' needs a core with a serial number; this is a {type(core).__name__}")


def _value(core: Any, name: str) -> float:
    if name == "light.photons_per_mac" and isinstance(core, optics.TensorCore):
        return float(optics.photons_per_mac(core))
    found = core.numbers()
    if name not in found:
        owners = [each for each in found if each.endswith(f".{name}")]
        if not owners or len({float(found[each]) for each in owners}) > 1:
            raise ValueError(
                f"knobs: {name} has no starting value in the core"
                + (": the cores of the design differ in it, so name that of each" if owners else "")
            )
        name = owners[0]
    return float(np.asarray(found[name]))
