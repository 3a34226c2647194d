"""Validity of Gaussian shot noise: outputs of few photo-electrons, and whether they matter on a core."""

import warnings
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.core import Tracer

from electronics import Number
from electronics.constants import ELEMENTARY_CHARGE
from optics.components.architecture import Architecture
from optics.datapath import tiling
from optics.datapath.diagnostics import FEWEST_ELECTRONS, Diagnostics
from optics.interpreter.plan import Site

# With other receiver noise of this rms [electrons], the distribution of the sum is within 0.009 of a Gaussian one for
# any light: the distance is 0.0665 x skewness (Edgeworth), and the skewness of a Poisson number of mean m plus noise
# of variance T is m / (m + T)**1.5 <= 0.385 / sqrt(T).
COVERING_ELECTRONS = 3.0
# Mean magnitude of a Gaussian truncated at four sigma, relative to its largest value.
MEAN_WEIGHT = 0.2
# Share of conversions below the limit above which a warning is given.
WARNED_SHARE = 0.01


def expected_electrons(core: Architecture, rows: int) -> Number:
    """Expected photo-electrons per conversion of an output of a product of `rows` rows.

    n_1 x (rows of a conversion) x (mean drive of an input) x (mean transmission), pedestals included. The mean drive is
    `source.mean_drive`, or 0.5 with an offset. The mean transmission is 0.2, of a Gaussian truncated at four sigma, or
    0.5 with an offset. `Diagnostics.share_below_counting_limit` gives the measured counterpart.
    """
    code = core.encoding
    tiles = tiling.fit(rows, 1, core.rows, core.columns, core.accumulate)
    drive = 0.5 if code.inputs == "offset" else core.source.mean_drive
    weight = 0.5 if code.weights == "offset" else MEAN_WEIGHT
    return core.electrons * tiles.height * tiles.accumulated * drive * (weight + code.pixels * core.pedestal)


def receiver_electrons(core: Architecture) -> Number:
    """Rms noise of the amplifier in a symbol and of the reset [electrons], scaled by `effects.thermal`."""
    current = core.tia.noise_variance(core.tia.noise_bandwidth(core.clock)) + core.tia.reset_variance(core.clock)
    return (core.effects.thermal * current) ** 0.5 / (ELEMENTARY_CHARGE * core.clock)


def matters(core: Architecture) -> bool:
    """Whether a concrete core has Gaussian shot noise that no other receiver noise covers; False if traced."""
    if core.detector.counting == "poisson" or _is_traced((core.effects, core.tia, core.clock)):
        return False
    # The core may be concrete inside another trace, as one that a jitted function captures.
    with jax.ensure_compile_time_eval():
        return bool(np.any((core.effects.shot > 0) & (receiver_electrons(core) < COVERING_ELECTRONS)))


def review(core: Architecture, sites: Sequence[Site], readings: Mapping[str, Diagnostics], rule: str = "") -> None:
    """Warn about sites of a concrete core with too few photo-electrons for Gaussian shot noise.

    Diagnostics decide where there are any, and `expected_electrons` elsewhere. The expectation warns below half of the
    limit, since it is accurate to about a factor of two.

    Args:
        core: the core.
        sites: the sites on it.
        readings: their diagnostics by name.
        rule: what gives the sites this core in a design of several, for the message.
    """
    of_rule = f" (core of {rule})" if rule else ""
    for name, found in readings.items():
        if isinstance(found, Diagnostics):
            warn_few_electrons(name + of_rule, found, core)
    if readings or _is_traced(core) or not matters(core):
        return
    with jax.ensure_compile_time_eval():
        expected = {site.name: float(np.max(expected_electrons(core, site.rows))) for site in sites}
    dim = {name: electrons for name, electrons in expected.items() if electrons < FEWEST_ELECTRONS / 2}
    if dim:
        first, electrons = next(iter(dim.items()))
        more = f" and {len(dim) - 1} more sites" if len(dim) > 1 else ""
        warnings.warn(
            f"{first}{more}{of_rule}: some {electrons:.2g} photo-electrons are expected per output, and below "
            f"{FEWEST_ELECTRONS:.0f} Gaussian shot noise flatters; set detector.counting = 'poisson' to count them",
            stacklevel=5,
        )


def warn_few_electrons(name: str, readings: Diagnostics, core: Architecture) -> None:
    """Warn that outputs of the site or product `name` had too few photo-electrons for Gaussian shot noise.

    Warns where more than `WARNED_SHARE` of the conversions received fewer than `FEWEST_ELECTRONS` photo-electrons and
    no other receiver noise covers that (see `matters`). Does not warn for traced diagnostics.
    """
    share = readings.share_below_counting_limit()
    if _is_traced(share) or not matters(core) or not np.max(share) > WARNED_SHARE:
        return
    warnings.warn(
        f"{name}: {np.max(share):.0%} of the outputs have fewer than {FEWEST_ELECTRONS:.0f} photo-electrons, where "
        "Gaussian shot noise flatters; set detector.counting = 'poisson' to count them",
        stacklevel=3,
    )


def _is_traced(tree) -> bool:
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))
