"""Accuracy over a grid of cores, measured once on a language model, and watts everywhere between.

Light and converters span the grid: effective bits and ADC bits, for each size of core, with the fixed imperfections as
they are and calibrated away. The clock changes watts much and accuracy little, as light is sized per symbol.
"""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RegularGridInterpolator

import optics
from experiments.common.measure import Evaluation, EvaluationCase
from experiments.common.paired import losses_by_window, paired_loss, standard_error
from experiments.common.workload import Workload
from experiments.plotting.pareto import pareto
from optics.components.nonidealities import FIXED
from optics.energy.light_budget import photons_per_mac

IMPERFECTIONS = {"as they are": 1.0, "calibrated away": 0.0}
GUARD_BITS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axes:
    """What is varied: sizes of a square core, effective bits of light, ENOB of the ADC, and for the watts the clock."""

    sizes: tuple[int, ...] = (1024, 2048)
    light_bits: tuple[float, ...] = (6.0, 7.0, 8.0, 9.0)
    enob: tuple[float, ...] = (6.0, 7.0, 8.0, 10.0)
    clocks: tuple[float, ...] = (0.5e9, 1e9, 2e9)

    def check(self) -> None:
        """Raises ValueError for an axis that nothing can be interpolated on."""
        for name in ("light_bits", "enob"):
            values = getattr(self, name)
            if len(values) < 2 or list(values) != sorted(set(values)):
                raise ValueError(f"{name} = {values} must be at least two numbers that rise")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"sizes = {self.sizes} must be at least one number of rows, each at least 1")
        if not self.clocks or min(self.clocks) <= 0:
            raise ValueError(f"clocks = {self.clocks} must be at least one frequency above 0")


def variant(core: optics.TensorCore, light_bits: Any, enob: Any, clock: Any = None) -> optics.TensorCore:
    """`core` with an ADC of `enob` effective bits and two more codes' bits, at a clock, and light for `light_bits`."""
    changes = {"adc.enob": enob, "adc.bits": enob + GUARD_BITS} | ({} if clock is None else {"clock": clock})
    return optics.with_effective_bits(core.replace(changes), light_bits)


def sized(core: optics.TensorCore, size: int) -> optics.TensorCore:
    """`core` with `size` rows and columns, or as it is where it has as many rows already."""
    return core if core.rows == size else core.replace({"rows": size, "columns": size})


class DesignSpace:
    """The grid around one core, and what was measured on it."""

    def __init__(self, core: optics.TensorCore, axes: Axes, workload: Workload):
        axes.check()
        self.axes, self.workload = axes, workload
        self.cores = {
            (size, name): sized(core, size).replace({f"effects.{effect}": share for effect in FIXED})
            for size in axes.sizes
            for name, share in IMPERFECTIONS.items()
        }

    def cases(self, windows: int) -> list[EvaluationCase]:
        """What must be measured: a case for each point of the grid."""
        return [EvaluationCase(name=self._name(*key), core=core, windows=windows) for key, core in self._points.items()]

    def fill(self, results: Mapping[str, Evaluation], exact: Evaluation) -> None:
        """Takes the measurements of `cases` in; `exact` is the digital model on the same windows."""
        self.points = [
            self._measured(key, core, results[self._name(*key)], exact) for key, core in self._points.items()
        ]
        # Delta NLL is KL but for what the text knows better than the model: its own noise is far larger, so the whole
        # grid says how the two stand, and KL then says where each point lies. The error is that of windows.
        pairs = [losses_by_window(results[self._name(*key)], exact) for key in self._points]
        delta, kl = np.moveaxis(np.array(pairs), 1, 0)
        self.nll_per_kl_fitted = float(np.sum(delta * kl) / np.sum(kl**2))
        self.nll_per_kl_stderr = standard_error(np.sum(delta * kl, axis=0) / np.sum(kl**2, axis=0))
        # A model that gains by noise knows nothing of this text: then the map is one of KL.
        self.nll_per_kl = self.nll_per_kl_fitted if self.nll_per_kl_fitted > 0 else 1.0
        for point in self.points:
            point["delta_nll_from_kl"] = self.nll_per_kl * point["kl"]

    def delta_nll(self, size: int, imperfections: str, light_bits: np.ndarray, enob: np.ndarray) -> np.ndarray:
        """Delta NLL [nats/token] between the points of the grid, from KL, whose logarithm is interpolated linearly."""
        shape = (len(self.axes.light_bits), len(self.axes.enob))
        kl = np.array([p["kl"] for p in self.points if (p["size"], p["imperfections"]) == (size, imperfections)])
        surface = RegularGridInterpolator((self.axes.light_bits, self.axes.enob), np.log(kl.reshape(shape)))
        return self.nll_per_kl * np.exp(surface(np.stack([light_bits, enob], axis=-1)))

    def watts(self, size: int, light_bits: np.ndarray, enob: np.ndarray, clock: np.ndarray) -> dict[str, np.ndarray]:
        """Watts at 1 exaOPS of the workload, and of its products on the core alone; three arrays of one shape."""
        flat = [jnp.asarray(np.ravel(values), jnp.float32) for values in (light_bits, enob, clock)]
        found = self._priced[size](*flat)
        return {name: np.asarray(values).reshape(np.shape(light_bits)) for name, values in found.items()}

    def photons(self, size: int, light_bits: np.ndarray) -> np.ndarray:
        """Photons per MAC launched for each light level, at the scenario's own clock."""
        core = next(core for (rows, _), core in self.cores.items() if rows == size)
        return np.array([float(photons_per_mac(variant(core, bits, 8.0))) for bits in light_bits])

    def cheapest(self, imperfections: str, most: float, points: int = 61) -> dict[str, float] | None:
        """The core of fewest watts with a delta NLL of at most `most`, over all axes; None where there is none."""
        bits, enob, clock = np.meshgrid(
            np.linspace(self.axes.light_bits[0], self.axes.light_bits[-1], points),
            np.linspace(self.axes.enob[0], self.axes.enob[-1], points),
            np.geomspace(self.axes.clocks[0], self.axes.clocks[-1], 9),
            indexing="ij",
        )
        best = None
        for size in self.axes.sizes:
            delta = self.delta_nll(size, imperfections, bits, enob)
            watts = np.where(delta <= most, self.watts(size, bits, enob, clock)["model"], np.inf)
            i = np.unravel_index(np.argmin(watts), watts.shape)
            if np.isfinite(watts[i]) and (best is None or watts[i] < best["watts"]):
                best = {
                    "size": size,
                    "light_bits": float(bits[i]),
                    "enob": float(enob[i]),
                    "clock_hz": float(clock[i]),
                    "delta_nll": float(delta[i]),
                    "watts": float(watts[i]),
                    "watts_on_core": float(self.watts(size, bits[i], enob[i], clock[i])["core"]),
                }
        return best

    def least_loss(self, imperfections: str) -> dict[str, Any]:
        """The measured point that loses least."""
        return min((p for p in self.points if p["imperfections"] == imperfections), key=lambda p: p["kl"])

    @cached_property
    def _points(self) -> dict[tuple[int, str, float, float], optics.TensorCore]:
        return {
            (size, name, bits, enob): variant(core, bits, enob)
            for (size, name), core in self.cores.items()
            for bits in self.axes.light_bits
            for enob in self.axes.enob
        }

    @cached_property
    def _priced(self) -> dict[int, Any]:
        def priced(size: int):
            core = self.cores[size, next(iter(IMPERFECTIONS))]

            def watts(bits, enob, clock):
                at = variant(core, bits, enob, clock)
                bills = {"model": self.workload.price(at), "core": optics.price(at, self.workload.on_core)}
                return {name: bill.watts_at() for name, bill in bills.items()}

            return jax.jit(jax.vmap(watts))

        return {size: priced(size) for size in self.axes.sizes}

    @staticmethod
    def _name(size: int, imperfections: str, bits: float, enob: float) -> str:
        return f"{size} rows, {bits:g} b light, {enob:g} b ADC, imperfections {imperfections}"

    def _measured(
        self, key: tuple[int, str, float, float], core: optics.TensorCore, result: Evaluation, exact: Evaluation
    ):
        size, imperfections, bits, enob = key
        watts = self.watts(size, np.float64(bits), np.float64(enob), np.float64(core.clock))
        return {
            "size": size,
            "imperfections": imperfections,
            "light_bits": bits,
            "enob": enob,
            "photons_per_mac": float(photons_per_mac(core)),
            **paired_loss(result, exact),
            "watts": float(watts["model"]),
            "watts_on_core": float(watts["core"]),
        }


def front(points: list[dict[str, Any]], watts: str, loss: str) -> list[dict[str, Any]]:
    """The points that no other beats in both: the Pareto front, by rising watts."""
    best = pareto(np.array([point[watts] for point in points]), np.array([point[loss] for point in points]))
    return [points[place] for place in best]
