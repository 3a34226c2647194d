"""Energy per conversion of the best published ADCs, as a function of effective bits and rate."""

import tomllib
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np

from electronics.part import Number

_TABLE = tomllib.loads((files("electronics") / "adc_survey.toml").read_text(encoding="utf-8"))
ENOB = np.asarray(_TABLE["enob"], np.float32)
RATES = np.asarray(_TABLE["rates_hz"], np.float32)
ENERGY = np.asarray(_TABLE["energy_pj"], np.float32) * np.float32(1e-12)


def energy(enob: Number, rate: Number) -> jax.Array:
    """Energy per conversion [J] on the survey's lower envelope, for scalars `enob` [bit] and `rate` [Hz].

    Bilinear in (ENOB, log rate) of log energy, so it passes through every point of the table. Outside it: four times
    the energy a bit above 10 ENOB (thermal noise), proportional to the rate above 10 GS/s, flat below 5 ENOB and
    below 50 MS/s (no cheaper converter is known at any lower demand).
    """
    log_energy = jnp.log2(ENERGY)
    row, column = _place(enob, ENOB), _place(jnp.log2(rate), np.log2(RATES))
    i, j = jnp.floor(row).astype(jnp.int32), jnp.floor(column).astype(jnp.int32)
    i, j = jnp.minimum(i, len(ENOB) - 2), jnp.minimum(j, len(RATES) - 2)
    u, v = row - i.astype(jnp.float32), column - j.astype(jnp.float32)
    inside = (
        (1 - u) * (1 - v) * log_energy[i, j]
        + u * (1 - v) * log_energy[i + 1, j]
        + (1 - u) * v * log_energy[i, j + 1]
        + u * v * log_energy[i + 1, j + 1]
    )
    beyond = 2 * jnp.maximum(enob - ENOB[-1], 0.0) + jnp.maximum(jnp.log2(rate / RATES[-1]), 0.0)
    return 2.0 ** (inside + beyond)


def _place(x: Number, grid: np.ndarray) -> jax.Array:
    """Position of `x` among the grid points, as a fractional index held to the grid's ends."""
    return jnp.interp(jnp.asarray(x, jnp.float32), grid, np.arange(len(grid), dtype=np.float32))
