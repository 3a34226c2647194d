"""Calibration of a core by what can be done to a real one: probe vectors in, codes out, a fit of what is fixed."""

from typing import NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np

from optics.components.correction import Correction
from optics.core import cost
from optics.core.by_site import CoresBySite, cores_by_name
from optics.core.tensor_core import TensorCore

MOST_ROUNDS = 1000
MOST_AVERAGES = 2**20
_TURNS = 20


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


class _Model(NamedTuple):
    """A device as the fit sees it: gains of rows [2, rows] by rail and of columns [columns], and the crosstalk of
    inputs and outputs, each to the earlier and to the later neighbour."""

    rows: np.ndarray
    columns: np.ndarray
    inputs: tuple[float, float]
    outputs: tuple[float, float]


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
def calibrate(core: TensorCore, *, key: jax.Array, rounds: int = 3, averages: int = 16) -> Calibration: ...


@overload
def calibrate(core: CoresBySite, *, key: jax.Array, rounds: int = 3, averages: int = 16) -> DesignCalibration: ...


def calibrate(
    core: TensorCore | CoresBySite, *, key: jax.Array, rounds: int = 3, averages: int = 16
) -> Calibration | DesignCalibration:
    """Measures gains of sources and outputs, offsets and crosstalk of the emulated device, and corrects them.

    Each round sends single inputs at full drive, on either rail, through one known random mask, and one input through
    a mask that is dark for it, each `averages` times with darkness in between: 5 rows vectors. The averages are the
    rows of the mask as the device shows them, in which gains and crosstalk are fitted by least squares, and the
    offsets of the receivers. Later rounds measure through the correction so far, so what is left shrinks to the
    noise, and to what the correction has no number for: pixel mismatch, blur, curves, light of dark sources.

    In a design each distinct core is a device of its own, and is calibrated by itself. Rules whose cores are equal in
    every number share one device and its correction.

    Under jax_enable_x64 it is the same calibration, in float32. Raises ValueError for an encoding other than two rails
    or two slots of one slice, whose single inputs can be seen, and for `rounds` and `averages` out of bounds.
    """
    for name, each in cores_by_name(core).items():
        code = each.encoding
        if code.inputs == "offset" or code.weights != "rails" or code.input_slices * code.weight_slices > 1:
            of_core = f", and {name} has others" if name else ""
            raise ValueError(
                f"calibrate needs inputs on rails or in slots, weights on rails, and one slice of each{of_core}"
            )
    for name, value, most in (("rounds", rounds, MOST_ROUNDS), ("averages", averages, MOST_AVERAGES)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name} = {value} must be a whole number, at least 1 and at most {most}")
    # The emulation is one of float32; under jax_enable_x64 its constants would turn sums into float64.
    with jax.enable_x64(False):
        if isinstance(core, CoresBySite):
            return _calibrated_design(core, key, rounds, averages)
        return _calibrated(core, key, rounds, averages)


def _calibrated_design(design: CoresBySite, key: jax.Array, rounds: int, averages: int) -> DesignCalibration:
    devices: dict[TensorCore, str] = {}
    for name, core in design.by_name.items():
        devices.setdefault(core, name)
    found = {
        name: _calibrated(core, jax.random.fold_in(key, number), rounds, averages)
        for number, (core, name) in enumerate(devices.items())
    }
    corrected = {name: found[devices[core]].core for name, core in design.by_name.items()}
    return DesignCalibration(design.with_cores(corrected), found)


def _calibrated(core: TensorCore, key: jax.Array, rounds: int, averages: int) -> Calibration:
    probe, residual = (jax.jit(f, static_argnames="averages") for f in (_probe, _residual))
    test_key, *keys = jax.random.split(key, rounds + 1)
    before = float(residual(core, test_key, averages=averages))
    for round_key in keys:
        weights, seen, offsets = (np.asarray(a, np.float64) for a in probe(core, round_key, averages=averages))
        core = core.replace({"correction": _improved(core, _fit(weights, seen), offsets)})
    vectors = rounds * averages * 5 * core.rows
    shape = {"rows": core.rows, "columns": core.columns, "vectors": float(vectors), "resident": False}
    return Calibration(
        core=core,
        before=before,
        after=float(residual(core, test_key, averages=averages)),
        vectors=vectors,
        seconds=float(cost.time(core, **shape)),
        joules=float(sum(cost.energy(core, **shape).values())),
    )


def _probe(core: TensorCore, key: jax.Array, averages: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(mask [rows, columns], its rows as seen from either rail [2, rows, columns], offsets [columns])."""
    mask_key, seen_key, dark_key = jax.random.split(key, 3)
    rows, columns = core.rows, core.columns
    weights = _random_mask(mask_key, rows, columns)
    single = jnp.eye(rows, dtype=jnp.float32)
    # Between two inputs comes a symbol without light, or a slow receiver's memory would look like crosstalk.
    apart = jnp.stack([jnp.concatenate([single, -single]), jnp.zeros((2 * rows, rows), jnp.float32)], axis=1)
    codes = _averaged(core, apart.reshape(4 * rows, rows), weights, seen_key, averages)
    plus, minus = codes[::2].reshape(2, rows, columns)
    # What all show with the same sign comes from the sources that should be dark, and from the receivers.
    constant = jnp.mean(plus + minus, axis=0, keepdims=True) / 2
    seen = jnp.stack([plus - constant, constant - minus])
    dark = jnp.zeros((rows, columns), jnp.float32).at[0].set(1.0)
    codes = jnp.mean(_averaged(core, jnp.tile(single[-1:], (rows, 1)), dark, dark_key, averages), axis=0)
    range_of_one = core.rows / core.adc.gain if core.adc.span == "rows" else core.adc.full_scale(core.rows**-0.5)
    return weights, seen, codes / range_of_one


def _random_mask(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """Weights of random sign and of magnitudes that show every neighbour's part, one of them in a column clear."""
    size_key, sign_key = jax.random.split(key)
    size = jax.random.uniform(size_key, (rows, columns), jnp.float32, 0.3, 1.0).at[0].set(1.0)
    return jnp.where(jax.random.bernoulli(sign_key, 0.5, size.shape), size, -size)


def _averaged(core: TensorCore, vectors: jax.Array, weights: jax.Array, key: jax.Array, averages: int) -> jax.Array:
    """Mean over `averages` runs of vectors [count, rows] through one mask."""
    prepared = core.prepare()

    def send(total, turn_key):
        return total + prepared.matmul(vectors, weights, key=turn_key), None

    start = jnp.zeros((vectors.shape[0], weights.shape[1]), jnp.float32)
    return jax.lax.scan(send, start, jax.random.split(key, averages))[0] / averages


def _residual(core: TensorCore, key: jax.Array, averages: int) -> jax.Array:
    """rms error of averaged products of random vectors and a random mask, relative to their rms."""
    vector_key, mask_key, noise_key = jax.random.split(key, 3)
    weights = _random_mask(mask_key, core.rows, core.columns)
    vectors = jax.random.uniform(vector_key, (64, core.rows), jnp.float32, -1.0, 1.0)
    exact = vectors @ weights
    error = _averaged(core, vectors, weights, noise_key, averages) - exact
    return jnp.sqrt(jnp.mean(error**2) / jnp.mean(exact**2))


def _fit(weights: np.ndarray, seen: np.ndarray) -> _Model:
    """Least squares, in turn for the gains of rows, of columns and the crosstalk, of what single inputs showed.

    seen = row gain x column gain x (weights + sum over neighbours of share x (neighbour's weights - weights)).
    """
    padded = np.pad(weights, 1)
    around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    terms = np.stack([neighbour - weights for neighbour in around])
    shown, columns, leaks = seen.mean(axis=0), np.ones(weights.shape[1]), np.zeros(4)
    for _ in range(_TURNS):
        predicted = weights + np.tensordot(leaks, terms, 1)
        rows = np.sum(seen * (predicted * columns), axis=2) / np.sum((predicted * columns) ** 2, axis=1)
        both = predicted * rows.mean(axis=0)[:, None]
        columns = np.sum(shown * both, axis=0) / np.sum(both**2, axis=0)
        gain = rows.mean(axis=0)[:, None] * columns
        leaks = np.linalg.lstsq((terms * gain).reshape(4, -1).T, (shown - weights * gain).ravel(), rcond=None)[0]
    # An input shows the weights of the rows that it leaks to; an output shows those of the columns it is leaked from.
    to_earlier_row, to_later_row, from_earlier, from_later = leaks
    return _Model(rows, columns, (to_earlier_row, to_later_row), (from_later, from_earlier))


def _improved(core: TensorCore, model: _Model, offsets: np.ndarray) -> Correction:
    """The correction so far, and on top of it what was found through it.

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
    )
