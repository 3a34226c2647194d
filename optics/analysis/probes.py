"""Probes of a calibration: the vectors that are sent, and what their codes say of the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optics.components.drift import DriftState
from optics.core.tensor_core import RealizedCore, TensorCore

KINDS = ("single", "hadamard")
PIXEL_MASKS = 4
"""Masks of clear pixels: two of random signs, and both with the other signs, so that each pixel is clear in two."""
FEWEST_ROWS = 3
"""Fewest rows of Hadamard patterns. With fewer, one has no input on, and its codes are 0 whatever the light is."""
# Mean square of the magnitudes of the random mask, uniform from 0.3 to 1.
_SQUARE = (1 + 0.3 + 0.3**2) / 3
# Standard deviations of the sums of the probes that have to fit into the ranges of the receivers.
_FITTING = 5.0


class Seen(NamedTuple):
    """What one round of probes shows.

    weights: the mask, [rows, columns]; transfer: its rows as seen from either rail, [2, rows, columns]; offsets: of
    the receivers, as a fraction of full scale, [columns].
    """

    weights: jax.Array
    transfer: jax.Array
    offsets: jax.Array


def vectors_of_round(kind: str, rows: int, averages: int) -> int:
    """Vectors that a round of probes sends: patterns of either sign with darkness in between, and the dark ones."""
    patterns = rows if kind == "single" else hadamard_order(rows)
    return averages * (4 * patterns + rows)


def vectors_of_pixels(kind: str, rows: int, averages: int) -> int:
    """Vectors that probe the pixels through one of `PIXEL_MASKS`: patterns of either sign with darkness in between."""
    return averages * 4 * (rows if kind == "single" else hadamard_order(rows))


def hadamard_order(rows: int) -> int:
    """Smallest order q + 1 > rows of a Hadamard matrix of Paley's first kind, q a prime with q mod 4 = 3."""
    prime = rows + (3 - rows) % 4
    while any(prime % divisor == 0 for divisor in range(2, int(prime**0.5) + 1)):
        prime += 4
    return prime + 1


def hadamard(order: int) -> np.ndarray:
    """Hadamard matrix H [order, order] of 1 and -1 whose first row and first column are 1, H^T H = order I.

    Paley, J. Math. Phys. 12, 311 (1933): quadratic residues of the prime order - 1. Without its first row and column,
    (1 + H) / 2 is the S-matrix of Harwit and Sloane, Hadamard Transform Optics (1979).
    """
    prime = order - 1
    residues = np.zeros(prime, bool)
    residues[np.arange(1, prime) ** 2 % prime] = True
    of_difference = residues[(np.arange(prime)[:, None] - np.arange(prime)) % prime]
    matrix = np.ones((order, order), np.float32)
    matrix[1:, 1:] = np.where(of_difference | np.eye(prime, dtype=bool), -1.0, 1.0)
    return matrix


def check_hadamard(core: TensorCore, name: str, pixels: bool = False) -> None:
    """Raise ValueError where sums of half of the rows do not fit: the ADC and the amplifier would clip them.

    With `pixels` the sums are also those through masks of clear pixels.
    """
    of_core = f" of {name}" if name else ""
    if core.rows < FEWEST_ROWS:
        raise ValueError(
            f"probes = 'hadamard' needs at least {FEWEST_ROWS} rows, and rows{of_core} = {core.rows}; use 'single'"
        )
    square = 1.0 if pixels else _SQUARE
    peak = _FITTING * (core.rows * square) ** 0.5
    adc = core.adc
    ranges = {
        "the ADC's full scale": core.rows / float(adc.gain)
        if adc.span == "rows"
        else float(adc.full_scale((core.rows * square) ** 0.5)),
        "the amplifier's full well": float(core.tia.largest_current(core.clock)) / float(core.unit_current),
    }
    acts = (float(core.effects.adc_clipping), float(core.effects.saturation))
    for (what, most), share in zip(ranges.items(), acts, strict=True):
        if share > 0 and most < peak:
            raise ValueError(
                f"probes = 'hadamard' send sums of up to {peak:.3g} full products, and {what}{of_core} holds "
                f"{most:.3g}; use 'single'"
            )


def probe(core: TensorCore, state: DriftState | None, key: jax.Array, kind: str, averages: int) -> Seen:
    """One round of probes through a known random mask.

    Between two patterns comes a symbol without light, or a slow receiver's memory would look like crosstalk.

    Args:
        core: the core, with the correction so far.
        state: how far its gains have drifted, or None for `core.drift`.
        key: key of the mask and of the noise.
        kind: one of `KINDS`.
        averages: times that each vector is sent.
    """
    mask_key, seen_key, dark_key = jax.random.split(key, 3)
    rows, columns = core.rows, core.columns
    weights = random_mask(mask_key, rows, columns)
    if kind == "single":
        seen = seen_by_single(core, state, weights, seen_key, averages)
        return Seen(weights, seen, _offsets(core, state, dark_key, averages))
    # The range of an ADC, and with it what its offset adds, is that of the pattern, so offsets are removed first.
    offsets = _offsets(core, state, dark_key, averages)
    level = core.replace({"correction.output_offset": core.correction.output_offset + offsets})
    return Seen(weights, seen_by_patterns(level, state, weights, seen_key, averages), offsets)


def probe_pixels(
    core: TensorCore, state: DriftState | None, key: jax.Array, kind: str, averages: int
) -> tuple[jax.Array, jax.Array]:
    """Looks at every pixel, clear: (masks [masks, rows, columns], as seen from either rail [masks, 2, rows, columns]).

    Weights of full scale have no error of rounding, and of random signs no column's sums are larger than another's.
    Arguments as of `probe`; the offsets of the receivers are those of the correction so far.
    """
    sign_key, seen_key = jax.random.split(key)
    look = seen_by_single if kind == "single" else seen_by_patterns
    shape = (PIXEL_MASKS // 2, core.rows, core.columns)
    signs = jnp.where(jax.random.bernoulli(sign_key, 0.5, shape), 1.0, -1.0)
    masks = jnp.concatenate([signs, -signs])

    def through(mask_and_key):
        mask, mask_key = mask_and_key
        return look(core, state, mask, mask_key, averages)

    return masks, jax.lax.map(through, (masks, jax.random.split(seen_key, PIXEL_MASKS)))


def seen_by_single(
    core: TensorCore, state: DriftState | None, weights: jax.Array, key: jax.Array, averages: int
) -> jax.Array:
    """Rows of the mask as seen from either rail, [2, rows, columns], by one input at a time."""
    rows, columns = weights.shape
    codes = _apart(core, state, jnp.eye(rows, dtype=jnp.float32), weights, key, averages)
    plus, minus = codes.reshape(2, rows, columns)
    # What all show with the same sign comes from the sources that should be dark, and from the receivers.
    constant = jnp.mean(plus + minus, axis=0, keepdims=True) / 2
    return jnp.stack([plus - constant, constant - minus])


def seen_by_patterns(
    core: TensorCore, state: DriftState | None, weights: jax.Array, key: jax.Array, averages: int
) -> jax.Array:
    """Rows of the mask as seen from either rail, [2, rows, columns], by half of the inputs at a time.

    Pattern i has the inputs k with H_ik = 1 on, so that y_i = c + sum_k (1 + H_ik) t_k / 2, and
    t_k = (2 / N) sum_i H_ik y_i. The column of ones takes the constant c.
    """
    rows, columns = weights.shape
    order = hadamard_order(rows)
    signs = jnp.asarray(hadamard(order)[:, 1 : rows + 1])
    codes = _apart(core, state, (1 + signs) / 2, weights, key, averages)
    plus, minus = codes.reshape(2, order, columns)
    decoded = [jnp.matmul(signs.T, codes, precision="highest") * (2 / order) for codes in (plus, minus)]
    return jnp.stack([decoded[0], -decoded[1]])


def _apart(
    core: TensorCore, state: DriftState | None, patterns: jax.Array, weights: jax.Array, key: jax.Array, averages: int
) -> jax.Array:
    """Mean codes of patterns [count, rows] of inputs of the one sign and of the other, [2 count, columns]."""
    count, rows = patterns.shape
    signed = jnp.concatenate([patterns, -patterns])
    apart = jnp.stack([signed, jnp.zeros((2 * count, rows), jnp.float32)], axis=1)
    return _averaged(realized(core, state), apart.reshape(4 * count, rows), weights, key, averages)[::2]


def _offsets(core: TensorCore, state: DriftState | None, key: jax.Array, averages: int) -> jax.Array:
    """Offsets of the receivers as a fraction of full scale, [columns]: one input through a mask that is dark for it."""
    rows, columns = core.rows, core.columns
    dark = jnp.zeros((rows, columns), jnp.float32).at[0].set(1.0)
    last = jnp.eye(rows, dtype=jnp.float32)[-1:]
    codes = jnp.mean(_averaged(realized(core, state), jnp.tile(last, (rows, 1)), dark, key, averages), axis=0)
    range_of_one = core.rows / core.adc.gain if core.adc.span == "rows" else core.adc.full_scale(core.rows**-0.5)
    return codes / range_of_one


def random_mask(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """Weights of random sign and of magnitudes that show every neighbour's part, one of them in a column clear."""
    size_key, sign_key = jax.random.split(key)
    size = jax.random.uniform(size_key, (rows, columns), jnp.float32, 0.3, 1.0).at[0].set(1.0)
    return jnp.where(jax.random.bernoulli(sign_key, 0.5, size.shape), size, -size)


def realized(core: TensorCore, state: DriftState | None) -> RealizedCore:
    """The core with its device drawn, whose gains have drifted by `state`, or by the law of `core.drift` if None."""
    device = core.prepare()
    if state is None:
        return device
    drawn, on = device.variation, core.effects
    drifted = drawn._replace(
        source_gain=drawn.source_gain * (1 + on.drift * state.sources),
        output_gain=drawn.output_gain * (1 + on.drift * state.receivers),
    )
    return RealizedCore(core, drifted)


def _averaged(device: RealizedCore, vectors: jax.Array, weights: jax.Array, key: jax.Array, averages: int) -> jax.Array:
    """Mean over `averages` runs of vectors [count, rows] through one mask."""

    def send(total, turn_key):
        return total + device.matmul(vectors, weights, key=turn_key), None

    start = jnp.zeros((vectors.shape[0], weights.shape[1]), jnp.float32)
    return jax.lax.scan(send, start, jax.random.split(key, averages))[0] / averages


def residual(core: TensorCore, state: DriftState | None, key: jax.Array, averages: int) -> jax.Array:
    """As `residual_of`, of a core whose gains have drifted by `state`, or by the law of `core.drift` if None."""
    return residual_of(realized(core, state), key, averages)


def residual_of(device: RealizedCore, key: jax.Array, averages: int) -> jax.Array:
    """rms error of averaged products of random vectors and a random mask, relative to their rms."""
    vector_key, mask_key, noise_key = jax.random.split(key, 3)
    weights = random_mask(mask_key, device.core.rows, device.core.columns)
    vectors = jax.random.uniform(vector_key, (64, device.core.rows), jnp.float32, -1.0, 1.0)
    exact = vectors @ weights
    error = _averaged(device, vectors, weights, noise_key, averages) - exact
    return jnp.sqrt(jnp.mean(error**2) / jnp.mean(exact**2))
