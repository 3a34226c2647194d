"""Calibration of a core by what can be done to a real one: probe vectors in, codes out, a fit of what is fixed."""

from typing import NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np

from electronics.part import Number, nearest
from optics.analysis.device_fit import DeviceModel, fit_device, fit_pixels
from optics.analysis.probes import (
    KINDS,
    PIXEL_MASKS,
    check_hadamard,
    probe,
    probe_pixels,
    residual,
    vectors_of_pixels,
    vectors_of_round,
)
from optics.components.correction import Correction
from optics.components.drift import DriftState
from optics.core import cost
from optics.core.by_site import CoresBySite, cores_by_name
from optics.core.tensor_core import TensorCore

MOST_ROUNDS = 1000
MOST_AVERAGES = 2**20


class Calibration(NamedTuple):
    """A corrected core, and how good and how dear the correction is.

    core: the core with its `correction`; before, after: rms error of probe products, relative to their rms, averaged
    so that noise counts little; vectors: probes sent; seconds, joules: what they took on the core.
    """

    core: TensorCore
    before: float
    after: float
    vectors: int
    seconds: float
    joules: float


class DesignCalibration(NamedTuple):
    """A design whose devices are corrected.

    core: the design; devices: by the name of the first core that stands for it, as "default" or "rules.0.core", what
    the calibration of each device gave.
    """

    core: CoresBySite
    devices: dict[str, Calibration]

    @property
    def vectors(self) -> int:
        """Probes sent to all devices."""
        return sum(each.vectors for each in self.devices.values())

    @property
    def seconds(self) -> float:
        """Time on all devices together [s]; they may be calibrated at the same time."""
        return sum(each.seconds for each in self.devices.values())

    @property
    def joules(self) -> float:
        """Energy on all devices [J]."""
        return sum(each.joules for each in self.devices.values())


@overload
def calibrate(
    core: TensorCore,
    *,
    key: jax.Array,
    rounds: int = 3,
    averages: int = 16,
    probes: str = "single",
    pixel_averages: int = 0,
) -> Calibration: ...


@overload
def calibrate(
    core: CoresBySite,
    *,
    key: jax.Array,
    rounds: int = 3,
    averages: int = 16,
    probes: str = "single",
    pixel_averages: int = 0,
) -> DesignCalibration: ...


def calibrate(
    core: TensorCore | CoresBySite,
    *,
    key: jax.Array,
    rounds: int = 3,
    averages: int = 16,
    probes: str = "single",
    pixel_averages: int = 0,
) -> Calibration | DesignCalibration:
    """Measures gains of sources and outputs, offsets and crosstalk of the emulated device, and corrects them.

    Each round sends single inputs at full drive, on either rail, through one known random mask, and one input through
    a mask that is dark for it, each `averages` times with darkness in between: 5 rows vectors. The averages are the
    rows of the mask as the device shows them, in which gains and crosstalk are fitted by least squares, and the
    offsets of the receivers. Later rounds measure through the correction so far, so what is left shrinks to the
    noise, and to what the correction has no number for: pixel mismatch, blur, curves, light of dark sources.

    With `probes="hadamard"` half of the inputs are on at a time, in the patterns of a Hadamard matrix of an order N a
    little above rows: 4 N + rows vectors. The rows of the mask then have 4 / N of the variance that single inputs leave
    of noise that does not depend on the light, as that of the amplifier, and twice the variance of shot, intensity and
    DAC noise (Harwit and Sloane, Hadamard Transform Optics, 1979). The range of an ADC that follows the norms grows
    with the root of the inputs that are on, so that its noise is averaged no better than shot noise.
    docs/guide/calibrate.md has measurements.

    With `pixel_averages` the same probes are then sent that often through two masks of clear pixels on random rails,
    and through both with the rails swapped: 16 rows or 16 N vectors each time. What each pixel shows, relative to its
    row and column, divides the weights that it is given, before they are rounded (`Correction.pixel_gain`). Where the
    largest weight of a column falls on a weak pixel, full scale of the column represents more and its light falls, so
    that nothing is clipped. Gains below 1 / 2 are undone as 1 / 2. Noise of standard deviation s per probe, relative to
    a full product, leaves s / sqrt(4 pixel_averages) in each pixel for single inputs; pixels that differ by less are
    better left as they are.

    In a design each distinct core is a device of its own, and is calibrated by itself. Rules whose cores are equal in
    every number share one device and its correction.

    Under jax_enable_x64 it is the same calibration, in float32. Raises ValueError for an encoding other than two rails
    or two slots of one slice, whose single inputs can be seen, for `rounds`, `averages` and `pixel_averages` out of
    bounds, for other `probes`, and for Hadamard probes whose sums do not fit into the receivers' ranges.
    """
    check_calibration(core, rounds, averages, probes, pixel_averages)
    # The emulation is one of float32; under jax_enable_x64 its constants would turn sums into float64.
    with jax.enable_x64(False):
        if isinstance(core, CoresBySite):
            return _calibrated_design(core, key, rounds, averages, probes, pixel_averages)
        return calibrate_device(core, None, key, rounds, averages, probes, pixel_averages)


def check_calibration(
    core: TensorCore | CoresBySite, rounds: int, averages: int, probes: str, pixel_averages: int = 0
) -> None:
    """Raise ValueError for what `calibrate` refuses."""
    if probes not in KINDS:
        raise ValueError(f"probes = {probes!r} is none of: {', '.join(KINDS)}{nearest(str(probes), list(KINDS))}")
    for name, each in cores_by_name(core).items():
        code = each.encoding
        if code.inputs == "offset" or code.weights != "rails" or code.input_slices * code.weight_slices > 1:
            of_core = f", and {name} has others" if name else ""
            raise ValueError(
                f"calibrate needs inputs on rails or in slots, weights on rails, and one slice of each{of_core}"
            )
        if probes == "hadamard":
            check_hadamard(each, name, pixel_averages > 0)
    for name, value, least, most in (
        ("rounds", rounds, 1, MOST_ROUNDS),
        ("averages", averages, 1, MOST_AVERAGES),
        ("pixel_averages", pixel_averages, 0, MOST_AVERAGES),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} = {value} must be a whole number, at least {least} and at most {most}")


def _calibrated_design(
    design: CoresBySite, key: jax.Array, rounds: int, averages: int, probes: str, pixel_averages: int
) -> DesignCalibration:
    devices: dict[TensorCore, str] = {}
    for name, core in design.by_name.items():
        devices.setdefault(core, name)
    found = {
        name: calibrate_device(core, None, jax.random.fold_in(key, number), rounds, averages, probes, pixel_averages)
        for number, (core, name) in enumerate(devices.items())
    }
    corrected = {name: found[devices[core]].core for name, core in design.by_name.items()}
    return DesignCalibration(design.with_cores(corrected), found)


def calibrate_device(
    core: TensorCore,
    state: DriftState | None,
    key: jax.Array,
    rounds: int,
    averages: int,
    probes: str,
    pixel_averages: int = 0,
) -> Calibration:
    """As `calibrate`, of one device whose gains have drifted by `state`, or by `core.drift` if it is None."""
    look, judge = jax.jit(probe, static_argnames=("kind", "averages")), jax.jit(residual, static_argnames="averages")
    test_key, *keys = jax.random.split(key, rounds + 1)
    before = float(judge(core, state, test_key, averages=averages))
    for round_key in keys:
        core = _seen_through(core, probes)
        seen = look(core, state, round_key, kind=probes, averages=averages)
        weights, transfer, offsets = (np.asarray(array, np.float64) for array in seen)
        core = core.replace({"correction": _improved(core, fit_device(weights, transfer), offsets)})
    vectors = rounds * vectors_of_round(probes, core.rows, averages)
    seconds, joules = cost_of_vectors(core, vectors)
    if pixel_averages:
        core = _with_pixels_corrected(core, state, jax.random.fold_in(keys[-1], 1), probes, pixel_averages)
        of_mask = vectors_of_pixels(probes, core.rows, pixel_averages)
        spent, taken = cost_of_vectors(core, of_mask)
        vectors += PIXEL_MASKS * of_mask
        seconds, joules = seconds + PIXEL_MASKS * spent, joules + PIXEL_MASKS * taken
    after = float(judge(core, state, test_key, averages=averages))
    return Calibration(core, before, after, vectors, seconds, joules)


def _with_pixels_corrected(
    core: TensorCore, state: DriftState | None, key: jax.Array, probes: str, averages: int
) -> TensorCore:
    """The core with the gain of each pixel measured and corrected, and once more those of rows and columns.

    What rows and columns share belongs to the drive and the codes; pixels hold the rest. Codes beyond full scale cannot
    be written, so pixels are probed without the correction that they have.
    """
    core = _seen_through(core, probes).replace({"correction.pixel_gain": 1.0})
    look = jax.jit(probe_pixels, static_argnames=("kind", "averages"))
    masks, seen = (np.asarray(array, np.float64) for array in look(core, state, key, kind=probes, averages=averages))
    model, gains = fit_pixels(masks, seen)
    improved = _improved(core, model, np.zeros(core.columns), jnp.asarray(1 / gains, jnp.float32))
    return core.replace({"correction": improved})


def cost_of_vectors(core: TensorCore, vectors: int) -> tuple[float, float]:
    """(seconds, joules) of vectors through the whole core, whose light is billed for `source.mean_drive`."""
    shape = {"rows": core.rows, "columns": core.columns, "vectors": float(vectors), "resident": False}
    return float(cost.time(core, **shape)), float(sum(cost.energy(core, **shape).values()))


def _seen_through(core: TensorCore, probes: str) -> TensorCore:
    """The core as it is probed. Hadamard patterns are sent without the correction of input crosstalk.

    That asks for more than full drive of an input whose neighbours are dark, and would be clipped there and not
    elsewhere, which the patterns cannot tell from other rows of the mask. So each round finds all of the crosstalk.
    """
    if probes == "single":
        return core
    return core.replace({"correction.input_crosstalk_earlier": 0.0, "correction.input_crosstalk_later": 0.0})


def _improved(
    core: TensorCore, model: DeviceModel, offsets: np.ndarray, pixel_gain: Number | None = None
) -> Correction:
    """The correction so far, and on top of it what was found through it; `pixel_gain` takes the place of the old one.

    Drives can only be turned down: rows are levelled to the weakest, or to half of the median where one is dead, and
    the outputs turned up for it.
    """
    old = core.correction
    asked = np.asarray(old.input_gain, np.float64) / np.maximum(model.rows, 1e-3)
    level = min(asked.max(), 2 * np.median(asked))
    asked = np.minimum(asked / level, 1.0)
    if core.encoding.sources == 1:
        asked = np.broadcast_to(asked.mean(axis=0), asked.shape)
    now = np.median(asked * np.maximum(model.rows, 1e-3) / np.asarray(old.input_gain, np.float64))
    output = np.asarray(old.output_gain, np.float64) / (model.columns * now)
    return Correction(
        input_gain=asked,
        input_crosstalk_earlier=float(old.input_crosstalk_earlier) + model.inputs[0],
        input_crosstalk_later=float(old.input_crosstalk_later) + model.inputs[1],
        output_gain=output,
        output_offset=np.asarray(old.output_offset, np.float64) + offsets,
        output_crosstalk_earlier=float(old.output_crosstalk_earlier) + model.outputs[0],
        output_crosstalk_later=float(old.output_crosstalk_later) + model.outputs[1],
        pixel_gain=old.pixel_gain if pixel_gain is None else pixel_gain,
    )
