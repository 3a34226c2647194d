"""Rows of models whose losses are made up."""

import numpy as np
import pytest

SIZES = {(32, 2): 35e3, (64, 2): 130e3, (48, 6): 190e3, (96, 4): 460e3, (128, 4): 840e3}
LEVELS = (3e3, 1e4, 3e4)


def _row(name, group, width, layers, parameters, kl, *, seed=None, stderr=0.0):
    """A row whose KL falls as 1 / light, from `kl` at the second level, and whose noise is 1 / light."""
    points = [
        {
            "kl": kl * LEVELS[1] / level,
            "kl_stderr": stderr,
            "delta_nll": 0.9 * kl * LEVELS[1] / level,
            "delta_nll_stderr": stderr,
            "photons_per_mac": level,
            "source_power_w": level * 1e-9,
            "noise": 10 / level,
        }
        for level in LEVELS
    ]
    site = {"mean_drive": 0.1, "crest_factor": 5.0, "rho": 0.05, "snr_db": 25.0}
    return {
        "name": name,
        "group": group,
        "seed": seed,
        "width": width,
        "layers": layers,
        "parameters": int(parameters),
        "digital_nll": 2.4,
        "bytes_per_token": 1.0 if group == "tiny" else 4.0,
        "mean_drive": 0.1,
        "exponent": 1.0,
        "sites": {"q": site, "head": site},
        "own": points[1] | {"photons_per_mac": 9e3},
        "points": points,
        "windows": 2,
        "training": None,
    }


def _rows_of(kl, of_large, scatter=0.0, seeds=(0,), stderr=0.0):
    """Tiny models whose KL is a function of their parameters, and a large one."""
    noise = np.random.default_rng(1)
    tiny = [
        _row(f"{w}x{n}", "tiny", w, n, p, kl(p) * np.exp(scatter * noise.normal()), seed=seed)
        for (w, n), p in SIZES.items()
        for seed in seeds
    ]
    return [*tiny, _row("large", "tested", 576, 30, 134.5e6, of_large, stderr=stderr)]


@pytest.fixture
def levels():
    """Light levels of the rows, photons per MAC."""
    return LEVELS


@pytest.fixture
def sizes():
    """Numbers of parameters of the tiny models of `rows_of`."""
    return list(SIZES.values())


@pytest.fixture
def row():
    """A row of a model, by its name, group, width, layers, parameters and KL at the second level."""
    return _row


@pytest.fixture
def rows_of():
    """Tiny models whose KL is a function of their parameters, and a large one."""
    return _rows_of
