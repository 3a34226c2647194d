"""Range of the ADCs at each kind of site, by the least squared error of its products on a sample."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import optics

OCTAVES = 6
"""Loadings from 1 to 64 rms values are looked at.

By Cauchy and Schwarz no sum of N terms exceeds sqrt(N) times the rms of an uncorrelated one. Trained layers exceed it 2
to 8 times (electronics/constants.toml, adc.loading).
"""
REFINED = (2**0.5, 2**0.25)
"""Factors on the best so far that are looked at next, and their inverses."""


def check_span(core: optics.TensorCore, name: str) -> None:
    """Raise ValueError for a core whose full scale follows no rms, so that it has no loading to set."""
    if core.adc.span != "norms":
        raise ValueError(
            f"a step ranges sets how many rms values of the product a full scale holds; that of {name} follows its "
            f'{core.adc.span}, adc.span = "{core.adc.span}": use the step gain'
        )


def relative_error(snr_db: Sequence[float | None]) -> float:
    """Return the mean over layers of squared errors over squares, from SNRs [dB]; None is that of exact products."""
    return float(np.mean([0.0 if each is None else 10 ** (-each / 10) for each in snr_db]))


def least_squares(errors: Callable[[dict[str, float]], Mapping[str, float]], kinds: Sequence[str]) -> dict[str, float]:
    """Return the loading of the least error by kind of site, within a quarter of an octave.

    All kinds are looked at together, each at its own candidate: first octaves, then steps of a half and of a quarter
    of an octave about the best.

    Args:
        errors: loadings by kind -> relative squared errors by kind.
        kinds: of the sites.
    """
    found: dict[str, tuple[float, float]] = {}

    def look(loading: dict[str, float]) -> None:
        for kind, error in errors(loading).items():
            if kind not in found or error < found[kind][0]:
                found[kind] = error, loading[kind]

    for octave in range(OCTAVES + 1):
        look(dict.fromkeys(kinds, 2.0**octave))
    for factor in REFINED:
        best = {kind: loading for kind, (_, loading) in found.items()}
        for each in (factor, 1 / factor):
            # Below one rms value most of the sums clip.
            look({kind: max(loading * each, 1.0) for kind, loading in best.items()})
    return {kind: loading for kind, (_, loading) in found.items()}
