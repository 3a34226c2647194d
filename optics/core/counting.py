"""Where Gaussian shot noise misleads: outputs of few photo-electrons, and whether that matters on a core."""

import warnings
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from electronics import Number
from electronics.constants import ELEMENTARY_CHARGE
from optics.components.architecture import Architecture
from optics.datapath import tiling
from optics.datapath.diagnostics import FEWEST_ELECTRONS, Diagnostics
from optics.interpreter.plan import Site

# With other noise of the receiver of this rms, in electrons, the sum is within 0.009 of a Gaussian distribution at any
# light: 0.0665 x skewness (Edgeworth), which for a Poisson number of mean m beside a variance T is
# m / (m + T)**1.5 <= 0.385 / sqrt(T).
COVERING_ELECTRONS = 3.0
# Mean magnitude of a Gaussian cut at four sigma, over its largest value.
MEAN_WEIGHT = 0.2
# Share of the conversions below the limit from which a warning is given.
WARNED_SHARE = 0.01


def expected_electrons(core: Architecture, rows: int) -> Number:
    """Photo-electrons that an output of a product `rows` long is expected to bring to one conversion.

    n_1 x (rows of a conversion) x (mean drive of an input) x (mean transmission), with `source.mean_drive` or, under an
    offset, a half, and for the weights the mean magnitude 0.2 of a Gaussian cut at four sigma or a half; pedestals
    included. An estimate before anything is run; `Diagnostics.share_below_counting_limit` is what was found.
    """
    code = core.encoding
    tiles = tiling.fit(rows, 1, core.rows, core.columns, core.accumulate)
    drive = 0.5 if code.inputs == "offset" else core.source.mean_drive
    weight = 0.5 if code.weights == "offset" else MEAN_WEIGHT
    return core.electrons * tiles.height * tiles.accumulated * drive * (weight + code.pixels * core.pedestal)


def receiver_electrons(core: Architecture) -> Number:
    """Rms noise of the amplifier in a symbol and of the reset [electrons], as far as `effects.thermal` acts."""
    current = core.tia.noise_variance(core.tia.noise_bandwidth(core.clock)) + core.tia.reset_variance(core.clock)
    return (core.effects.thermal * current) ** 0.5 / (ELEMENTARY_CHARGE * core.clock)


def matters(core: Architecture) -> bool:
    """Whether a concrete core has Gaussian shot noise that no other noise of the receiver covers; False if traced."""
    if core.detector.counting == "poisson" or _is_traced((core.effects, core.tia, core.clock)):
        return False
    # A concrete core inside a trace of something else, as one that a jitted function closes over.
    with jax.ensure_compile_time_eval():
        return bool(np.any((core.effects.shot > 0) & (receiver_electrons(core) < COVERING_ELECTRONS)))


def review(core: Architecture, sites: Sequence[Site], readings: Mapping[str, Diagnostics]) -> None:
    """Warns of sites on a concrete core that are too dim for Gaussian shot noise: by what was read, or else expected.

    An expectation warns from half the limit down, since `expected_electrons` is right within a factor of two or so.
    """
    for name, found in readings.items():
        if isinstance(found, Diagnostics):
            warn_few_electrons(name, found, core)
    if readings or _is_traced(core) or not matters(core):
        return
    with jax.ensure_compile_time_eval():
        expected = {site.name: float(np.max(expected_electrons(core, site.rows))) for site in sites}
    dim = {name: electrons for name, electrons in expected.items() if electrons < FEWEST_ELECTRONS / 2}
    if dim:
        first, electrons = next(iter(dim.items()))
        more = f" and {len(dim) - 1} more sites" if len(dim) > 1 else ""
        warnings.warn(
            f"{first}{more}: some {electrons:.2g} photo-electrons are expected per output, and below "
            f"{FEWEST_ELECTRONS:.0f} Gaussian shot noise flatters; set detector.counting = 'poisson' to count them",
            stacklevel=5,
        )


def warn_few_electrons(name: str, readings: Diagnostics, core: Architecture) -> None:
    """Warns that outputs of the site or product `name` were too dim for Gaussian shot noise.

    Where more than WARNED_SHARE of the conversions received fewer than FEWEST_ELECTRONS photo-electrons and no other
    noise of the receiver covers that (see `matters`). Says nothing of readings that are traced.
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
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))
