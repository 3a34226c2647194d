"""Accuracy over a grid of cores, measured on a language model, and watts everywhere between its points.

The grid spans effective bits of light and ENOB of the ADC, for each size of core, with the fixed imperfections on and
calibrated away. The clock is left out of it: light is sized per symbol, so the clock hardly changes accuracy.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import RegularGridInterpolator

import optics
from experiments.common.workload import Workload
from experiments.evaluation.paired import PairedLoss, losses_by_window, paired_loss, standard_error
from experiments.evaluation.records import Evaluation, EvaluationCase
from experiments.plotting.pareto import pareto
from experiments.target.records import InterpolatedCore, MapPoint
from optics.components.nonidealities import FIXED
from optics.energy.light_budget import photons_per_mac

IMPERFECTIONS = {"as they are": 1.0, "calibrated away": 0.0}
GUARD_BITS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axes:
    """Axes of the map: sizes of a square core, effective bits of light, ENOB of the ADC; for watts, clocks [Hz] too."""

    sizes: tuple[int, ...] = (1024, 2048)
    light_bits: tuple[float, ...] = (6.0, 7.0, 8.0, 9.0)
    enob: tuple[float, ...] = (6.0, 7.0, 8.0, 10.0)
    clocks: tuple[float, ...] = (0.5e9, 1e9, 2e9)

    def check(self) -> None:
        """Raise ValueError for an axis that does not allow interpolation."""
        for name in ("light_bits", "enob"):
            values = getattr(self, name)
            if len(values) < 2 or list(values) != sorted(set(values)):
                raise ValueError(f"{name} = {values} must be at least two numbers that rise")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"sizes = {self.sizes} must be at least one number of rows, each at least 1")
        if not self.clocks or min(self.clocks) <= 0:
            raise ValueError(f"clocks = {self.clocks} must be at least one frequency above 0")


def variant(core: optics.TensorCore, light_bits: Any, enob: Any, clock: Any = None) -> optics.TensorCore:
    """Return `core` at an ADC's `enob` effective bits plus two guard bits, light for `light_bits`, and a clock [Hz]."""
    changes = {"adc.enob": enob, "adc.bits": enob + GUARD_BITS} | ({} if clock is None else {"clock": clock})
    return optics.with_effective_bits(core.replace(changes), light_bits)


def sized(core: optics.TensorCore, size: int) -> optics.TensorCore:
    """Return `core` with `size` rows and columns; a core with as many rows keeps its columns."""
    return core if core.rows == size else core.replace({"rows": size, "columns": size})


class DesignSpace:
    """The grid around one core, and the losses measured on it."""

    def __init__(self, core: optics.TensorCore, axes: Axes, workload: Workload):
        axes.check()
        self.axes, self.workload = axes, workload
        self.cores = {
            (size, name): sized(core, size).replace({f"effects.{effect}": share for effect in FIXED})
            for size in axes.sizes
            for name, share in IMPERFECTIONS.items()
        }

    def cases(self, windows: int) -> list[EvaluationCase]:
        """Return the case of each point of the grid."""
        attention = self.workload.attention
        return [
            EvaluationCase(
                name=self._name(*key), core=core, windows=windows, attention=attention, chosen_by=self.of_size(key[0])
            )
            for key, core in self._points.items()
        ]

    def of_size(self, size: int) -> optics.TensorCore:
        """The core of a size around which the grid lies, whose bill chooses operands on masks."""
        return self.cores[size, next(iter(IMPERFECTIONS))]

    def fill(self, results: Mapping[str, Evaluation], exact: Evaluation) -> None:
        """Store the results of `cases`; `exact` is the digital model on the same windows."""
        # Delta NLL is nearly proportional to KL but far noisier, so fit their ratio over the whole grid and place each
        # point by its KL. The standard error is over windows.
        pairs = [losses_by_window(results[self._name(*key)], exact) for key in self._points]
        delta, kl = np.moveaxis(np.array(pairs), 1, 0)
        self.nll_per_kl_fitted = float(np.sum(delta * kl) / np.sum(kl**2))
        self.nll_per_kl_stderr = standard_error(np.sum(delta * kl, axis=0) / np.sum(kl**2, axis=0))
        # A negative ratio means that noise helps a model that cannot predict this text: the map is then one of KL.
        self.nll_per_kl = self.nll_per_kl_fitted if self.nll_per_kl_fitted > 0 else 1.0
        self.points = [
            self._measured(key, core, paired_loss(results[self._name(*key)], exact))
            for key, core in self._points.items()
        ]

    def delta_nll(self, size: int, imperfections: str, light_bits: np.ndarray, enob: np.ndarray) -> np.ndarray:
        """Return delta NLL [nats/token] between the points: log KL, interpolated linearly, times `nll_per_kl`."""
        shape = (len(self.axes.light_bits), len(self.axes.enob))
        kl = np.array([p["kl"] for p in self.points if (p["size"], p["imperfections"]) == (size, imperfections)])
        surface = RegularGridInterpolator((self.axes.light_bits, self.axes.enob), np.log(kl.reshape(shape)))
        return self.nll_per_kl * np.exp(surface(np.stack([light_bits, enob], axis=-1)))

    def watts(self, size: int, light_bits: ArrayLike, enob: ArrayLike, clock: ArrayLike) -> dict[str, np.ndarray]:
        """Return watts at 1 exaOPS of the workload ("model") and of its products on the core alone ("core").

        The three arguments have one shape, which is that of the result.
        """
        flat = [jnp.asarray(np.ravel(values), jnp.float32) for values in (light_bits, enob, clock)]
        priced = self._priced[size](*flat)
        return {name: np.asarray(values).reshape(np.shape(light_bits)) for name, values in priced.items()}

    def photons(self, size: int, light_bits: np.ndarray) -> np.ndarray:
        """Return photons per MAC launched for each light level, at the core's own clock."""
        return np.array([float(photons_per_mac(variant(self.of_size(size), bits, 8.0))) for bits in light_bits])

    def cheapest(self, imperfections: str, most: float, points: int = 61) -> InterpolatedCore | None:
        """Return the core of fewest watts whose delta NLL is at most `most`, over all axes; None if there is none."""
        bits, enob, clock = np.meshgrid(
            np.linspace(self.axes.light_bits[0], self.axes.light_bits[-1], points),
            np.linspace(self.axes.enob[0], self.axes.enob[-1], points),
            np.geomspace(self.axes.clocks[0], self.axes.clocks[-1], 9),
            indexing="ij",
        )
        best: InterpolatedCore | None = None
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

    def least_loss(self, imperfections: str) -> MapPoint:
        """Return the measured point of least KL."""
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
            core = self.of_size(size)

            def watts(bits, enob, clock):
                at = variant(core, bits, enob, clock)
                bills = {
                    "model": self.workload.price(at, chosen_by=core),
                    "core": self.workload.price_on_core(at, chosen_by=core),
                }
                return {name: bill.watts_at() for name, bill in bills.items()}

            return jax.jit(jax.vmap(watts))

        return {size: priced(size) for size in self.axes.sizes}

    @staticmethod
    def _name(size: int, imperfections: str, bits: float, enob: float) -> str:
        return f"{size} rows, {bits:g} b light, {enob:g} b ADC, imperfections {imperfections}"

    def _measured(self, key: tuple[int, str, float, float], core: optics.TensorCore, measured: PairedLoss) -> MapPoint:
        size, imperfections, bits, enob = key
        watts = self.watts(size, bits, enob, core.clock)
        return {
            "size": size,
            "imperfections": imperfections,
            "light_bits": bits,
            "enob": enob,
            "photons_per_mac": float(photons_per_mac(core)),
            **measured,
            "watts": float(watts["model"]),
            "watts_on_core": float(watts["core"]),
            "delta_nll_from_kl": self.nll_per_kl * measured["kl"],
        }


def front(points: Sequence[MapPoint]) -> list[MapPoint]:
    """Return the Pareto front in watts and KL, by rising watts."""
    best = pareto(np.array([point["watts"] for point in points]), np.array([point["kl"] for point in points]))
    return [points[place] for place in best]
