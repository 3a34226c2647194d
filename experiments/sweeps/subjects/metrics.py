"""The metrics of sweeps: name, unit, source and better side; those of any subject, and a subject's own."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

import optics
from electronics.part import nearest
from experiments.common.options import short_repr
from optics.datapath.diagnostics import Diagnostics

Source = Literal["score", "readings", "bill", "core"]
Better = Literal["less", "more", ""]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        label: as axes of figures state it.
        unit: as axes of figures state it; "1" where there is none.
        source: "score", the subject's comparison with the exact result; "readings", diagnostics of the emulation, which
            cost an exact product beside each emulated one; "bill", energy; "core", the core alone.
        better: whether less or more is better; empty where neither is.
        logarithmic: whether its values may span decades.
    """

    label: str
    unit: str
    source: Source = "score"
    better: Better = ""
    logarithmic: bool = False


METRICS = {
    "nll": Metric("negative log likelihood", "nats/token", "score", "less"),
    "delta_nll": Metric("loss over digital fp32", "nats/token", "score", "less"),
    "kl": Metric("divergence from digital fp32", "nats/token", "score", "less", True),
    "top1": Metric("top-1 agreement with digital fp32", "1", "score", "more"),
    "relative_error": Metric("rms error / rms result", "1", "score", "less", True),
    "snr_db": Metric("SNR against the product", "dB", "readings", "more"),
    "effective_bits": Metric("effective bits against the product", "bits", "readings", "more"),
    "enob_full_scale": Metric("effective bits against full scale", "bits", "readings", "more"),
    "clip_rate": Metric("share of conversions out of range", "1", "readings", "less"),
    "share_below_counting_limit": Metric("share of outputs below 36 photo-electrons", "1", "readings", "less"),
    "rho": Metric("rms(y) / mean(sum |x||w|)", "1", "readings"),
    "mean_drive": Metric("mean drive of the inputs", "1", "readings"),
    "launched_per_mac": Metric("photons per MAC, launched", "1", "readings", "less", True),
    "detected_per_mac": Metric("photons per MAC, detected", "1", "readings", "less", True),
    "fj_per_mac": Metric("energy at the plug", "fJ/MAC", "bill", "less", True),
    "joules_per_token": Metric("energy at the plug", "J/token", "bill", "less", True),
    "watts_at_exaops": Metric("power at 1 exaOPS", "W", "bill", "less", True),
    "tops_per_watt": Metric("efficiency at the plug", "TOPS/W", "bill", "more", True),
    "photons_per_mac": Metric("photons per MAC, nominal", "1", "core", "less", True),
}
READINGS = tuple(name for name, metric in METRICS.items() if metric.source == "readings")


def check_own(own: Mapping[str, Metric]) -> None:
    """Raise ValueError for a subject's own metric that is no `Metric`, or takes the name of another source."""
    for name, metric in own.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"on.metrics: {short_repr(name)} must be a name of letters, digits and underscores")
        if not isinstance(metric, Metric):
            raise ValueError(f"on.metrics[{name!r}] = {short_repr(metric)} must be a sweeps.Metric")
        if name in METRICS and METRICS[name].source != "score":
            raise ValueError(
                f"on.metrics[{name!r}]: a sweep measures {name!r} itself ({METRICS[name].label}): take another name"
            )
        if metric.source != "score":
            raise ValueError(f"on.metrics[{name!r}]: source = {metric.source!r} must be 'score'")
        if metric.better not in get_args(Better):
            raise ValueError(f"on.metrics[{name!r}]: better = {metric.better!r} must be 'less', 'more' or ''")
        if wrong := [text for text in (metric.label, metric.unit) if not isinstance(text, str) or not text]:
            raise ValueError(
                f"on.metrics[{name!r}]: label and unit must be words, and one is {short_repr(wrong[0])}; "
                'a unit of "1" is none'
            )


def check(names: Sequence[str], offered: Sequence[str], own: Mapping[str, Metric], subject: str) -> None:
    """Raise ValueError for metrics that are unknown, listed twice, or not offered by a subject, and for none at all.

    Args:
        names: the metrics.
        offered: those that the subject gives, apart from those of bill and core.
        own: those of the subject's own.
        subject: its kind, for the message.
    """
    known = {**METRICS, **own}
    if not names:
        raise ValueError(f"metrics is empty: there are {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ValueError(f"no metric {name!r}{nearest(name, list(known))}")
        if known[name].source in ("score", "readings") and name not in offered:
            raise ValueError(f"metric {name!r} is not offered by {subject}, which offers {', '.join(offered)}")
    if twice := [name for name in set(names) if list(names).count(name) > 1]:
        raise ValueError(f"metric {twice[0]!r} is listed twice")


def needs(names: Sequence[str], source: Source) -> bool:
    """Return whether one of the metrics is of a source. Those of a subject's own are of its score."""
    return any(_source(name) == source for name in names)


def of_readings(names: Sequence[str], seen: Diagnostics) -> dict[str, jax.Array]:
    """Return the metrics of diagnostics that are summed over sites and layers."""
    return {name: jnp.asarray(getattr(seen, name)()) for name in names if _source(name) == "readings"}


def of_bill(names: Sequence[str], bill: optics.Bill, tokens: int) -> dict[str, jax.Array]:
    """Return the metrics of the bill of one call on `tokens` tokens."""
    values = {
        "fj_per_mac": bill.per_mac * 1e15,
        "joules_per_token": bill.total / tokens,
        "watts_at_exaops": bill.watts_at(),
        "tops_per_watt": bill.tops_per_watt,
    }
    return {name: jnp.asarray(value) for name, value in values.items() if name in names}


def of_core(names: Sequence[str], core: optics.TensorCore) -> dict[str, jax.Array]:
    """Return the metrics of the core alone."""
    return {name: jnp.asarray(optics.photons_per_mac(core)) for name in names if name == "photons_per_mac"}


def better_first(metric: Metric, values: np.ndarray) -> np.ndarray:
    """Return the values with their sign changed where more is better, so that less is better."""
    return -values if metric.better == "more" else values


def _source(name: str) -> Source:
    return METRICS[name].source if name in METRICS else "score"
