"""The tables of docs/guide/calibrate.md: single inputs beside Hadamard patterns.

python docs/calibration/compare_probes.py noise 64 256       # variances of what probes show, by size of the core
python docs/calibration/compare_probes.py residual 64        # what a calibration leaves, by number of vectors
"""

import sys

import jax
import numpy as np

import optics
from optics.analysis import probes

PRESETS = (optics.today, optics.projected_2029, optics.physical_limit)
NOISE = ("dac_noise", "rin", "shot", "thermal", "jitter", "adc_noise")
DRAWS = 3
# A device before its first calibration; pixels, blur and drift are left out, which no correction has a number for.
RAW = {
    "device": 7,
    "drift.age": 0.0,
    "source.gain_mismatch": 0.1,
    "detector.gain_mismatch": 0.05,
    "adc.offset_mismatch": 0.01,
    "space.input_crosstalk_earlier": 0.01,
    "space.input_crosstalk_later": 0.015,
    "space.output_crosstalk_earlier": 0.01,
    "space.output_crosstalk_later": 0.02,
    "mask.mismatch": 0.0,
    "mask.blur": 0.0,
}


def compare_noise(size: int) -> None:
    """Print the variance of single inputs over that of patterns, for each preset and range of the ADC."""
    weights = probes.random_mask(jax.random.key(5), size, size)
    ways = {
        kind: jax.jit(lambda core, key, way=way: way(core, None, weights, key, 1))
        for kind, way in (("single", probes.seen_by_single), ("hadamard", probes.seen_by_patterns))
    }
    for span in ("norms", "rows"):
        for preset in PRESETS:
            core = preset(rows=size, columns=size).replace({"device": 7, "adc.span": span})
            variance = {
                kind: np.mean(np.var([way(core, jax.random.key(n)) for n in range(DRAWS)], axis=0, ddof=1))
                for kind, way in ways.items()
            }
            ratio = variance["single"] / variance["hadamard"]
            order = probes.hadamard_order(size)
            print(f"{size} x {size}, order {order}, adc.span {span:5} {preset.__name__:15} {ratio:.2f}", flush=True)


def compare_residuals(size: int) -> None:
    """Print the error of products without noise after two rounds, and the joules at the light of the probes."""
    judge = jax.jit(probes.residual, static_argnames="averages")

    def quiet(core: optics.TensorCore) -> float:
        silent = core.replace({f"effects.{name}": 0.0 for name in NOISE})
        return float(judge(silent, None, jax.random.key(99), averages=1))

    for preset in PRESETS[:2]:
        core = preset(rows=size, columns=size).replace(RAW)
        print(f"{preset.__name__}, {size} x {size}, before: {quiet(core):.4f}")
        for averages in (1, 8, 64):
            for kind, drive in (("single", 0.5 / size), ("hadamard", 0.25)):
                lit = core.replace({"source.mean_drive": drive})
                found = [
                    optics.calibrate(lit, key=jax.random.key(n), rounds=2, averages=averages, probes=kind)
                    for n in range(DRAWS)
                ]
                left = [quiet(each.core) for each in found]
                print(
                    f"{found[0].vectors:6} vectors, {kind:8}: {min(left):.4f} to {max(left):.4f}, "
                    f"{1e6 * found[0].joules:.3g} uJ",
                    flush=True,
                )


if __name__ == "__main__":
    for given in sys.argv[2:]:
        {"noise": compare_noise, "residual": compare_residuals}[sys.argv[1]](int(given))
