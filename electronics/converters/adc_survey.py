"""Energy per conversion of the best published ADCs, as a smooth function of effective bits and rate."""

import tomllib
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from electronics.part import Number

_DATA = tomllib.loads((files("electronics.converters") / "adc_survey.toml").read_text(encoding="utf-8"))
ENOB = np.asarray(_DATA["enob"])
RATES = np.asarray(_DATA["rates_hz"])
# Lower envelope of the published converters [J], [ENOB, rate]; NaN where nothing published is that good.
ENERGY = np.asarray(_DATA["energy_pj"]) * 1e-12
FIT = _DATA["fit"]


def energy(enob: Number, rate: Number) -> jax.Array:
    """Energy per conversion [J] of the best published converters, for `enob` [bit] at `rate` [Hz].

    E = a 2**(alpha (ENOB - 8)) (f / 1 GHz)**beta + c 4**(ENOB - 8) (f / 1 GHz)**gamma: the first term rules at few bits
    and low rates (Walden), the second, four times the energy per bit, where thermal noise does (Schreier). Both grow in
    ENOB and in rate, so the sum does everywhere. It fits the lower envelope of Murmann's survey within a factor of 1.50
    rms and 3.35 at most, from 5 to 10 ENOB and 50 MS/s to 20 GS/s; beyond that it is an extrapolation.

    Args:
        enob: effective bits, any shape.
        rate: conversions per second, a shape that broadcasts with `enob`.

    Returns:
        Energy [J] of the broadcast shape.
    """
    return _form(jnp, FIT, enob, rate)


def fit() -> dict[str, float]:
    """The parameters of `energy`, by least squares of ln E over the envelope; those in the TOML file come from here."""
    enob, rate = np.meshgrid(ENOB, RATES, indexing="ij")
    published = np.isfinite(ENERGY)
    enob, rate, wanted = enob[published], rate[published], np.log(ENERGY[published])
    names = list(FIT)

    def residual(logarithms):
        parameters = dict(zip(names, np.exp(logarithms), strict=True))
        return np.log(_form(np, parameters, enob, rate)) - wanted

    found = least_squares(residual, np.zeros(len(names)), xtol=1e-12, ftol=1e-12)
    return dict(zip(names, np.exp(found.x).tolist(), strict=True))


def _form(numpy, parameters, enob, rate):
    bits, gigahertz = enob - 8, rate * 1e-9
    walden = parameters["walden_pj"] * 2.0 ** (parameters["walden_exponent"] * bits)
    thermal = parameters["thermal_pj"] * 4.0**bits
    log_rate = numpy.log(gigahertz)
    by_rate = [numpy.exp(parameters[name] * log_rate) for name in ("walden_rate", "thermal_rate")]
    return (walden * by_rate[0] + thermal * by_rate[1]) * 1e-12
