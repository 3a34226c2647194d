"""Diagnostics of emulated products, as sums that add over tiles, scan steps and calls."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.matmul import product
from electronics.part import Number

# Whether a product is observed, or which of its vectors are, [vectors].
Observe = bool | jax.Array

# With fewer photo-electrons per output, 4,096 draws distinguish a Poisson distribution from a Gaussian one.
FEWEST_ELECTRONS = 36.0


def observed_alone(values: jax.Array, observe: Observe) -> jax.Array:
    """Values [vectors, width], with zeros for the vectors that are not observed."""
    return values if isinstance(observe, bool) else jnp.where(observe[:, None], values, 0.0)


def observed_count(count: int, observe: Observe) -> jax.Array:
    """How many of `count` numbers, as many for each vector, are of the vectors observed."""
    # A head has more than 2^31 multiply-accumulates, which no int32 holds.
    return jnp.float32(count) * (1.0 if isinstance(observe, bool) else jnp.mean(observe, dtype=jnp.float32))


class SymbolObservation(NamedTuple):
    """What one symbol, or the sum of several, shows before it is converted.

    Attributes:
        detected: photo-electrons of all diodes.
        electrons: photo-electrons of each output, [vectors, width].
        exact: exact product of the unrounded codes, [vectors, width].
        launched: photons that the sources send towards the columns in use.
    """

    detected: jax.Array
    electrons: jax.Array
    exact: jax.Array
    launched: jax.Array


class ReceiverObservation(NamedTuple):
    """What the receivers of a product show, summed over its tiles: see `Diagnostics`.

    `peak` and `square` are the largest magnitude and the sum of squares at the input of the ADC behind each column, in
    units of one full product, and `clipped` the conversions out of its range, [columns]. The other fields are those of
    `Diagnostics`.
    """

    clipped: jax.Array
    conversions: jax.Array
    detected: jax.Array
    few_electrons: jax.Array
    launched: jax.Array
    peak: jax.Array
    relative_error: jax.Array
    square: jax.Array

    def joined(self, other: "ReceiverObservation") -> "ReceiverObservation":
        """The observations of two parts of a product as one."""
        join = (jnp.maximum if name == "peak" else jnp.add for name in self._fields)
        return ReceiverObservation(*(f(a, b) for f, a, b in zip(join, self, other, strict=True)))

    def over_column_tiles(self) -> "ReceiverObservation":
        """The observations stacked by column tile as one: sums, and columns side by side."""
        by_column = ("peak", "square", "clipped")
        return ReceiverObservation(
            **{
                name: value.reshape(-1) if name in by_column else jnp.sum(value)
                for name, value in self._asdict().items()
            }
        )


class ProductObservation(NamedTuple):
    """What a product shows: `inputs`, `drive` and `square_drive` as in `Diagnostics`, and its receivers."""

    drive: jax.Array
    square_drive: jax.Array
    inputs: jax.Array
    receivers: ReceiverObservation


class Diagnostics(NamedTuple):
    """Sums over one or more products. Every figure of merit is a ratio of two of them.

    Attributes:
        outputs: number of outputs.
        signal: sum of y^2 [units of y^2].
        error: sum of (emulated y - exact y)^2 [units of y^2].
        light: sum over outputs of sum_k |x_k| |w_k| [units of y].
        conversions: number of ADC conversions.
        clipped: number of conversions out of range.
        relative_error: sum of the squared errors of the partial sums, as fractions of the ADC's full scale.
        few_electrons: number of conversions whose diodes together received fewer than `FEWEST_ELECTRONS`
            photo-electrons, without those of vectors and columns of zeros.
        inputs: number of inputs.
        drive: sum of the magnitudes of the inputs, as fractions of the DAC's full scale.
        square_drive: sum of their squares.
        macs: number of multiply-accumulates.
        launched: photons that the sources send towards the columns in use.
        detected: photo-electrons of all diodes.
    """

    outputs: Number
    signal: Number
    error: Number
    light: Number
    conversions: Number
    clipped: Number
    relative_error: Number
    few_electrons: Number
    inputs: Number
    drive: Number
    square_drive: Number
    macs: Number
    launched: Number
    detected: Number

    @classmethod
    def of(
        cls, y: jax.Array, x: jax.Array, w: jax.Array, observed: ProductObservation, observe: Observe = True
    ) -> "Diagnostics":
        """Diagnostics of y [..., columns], emulated for x [..., rows] @ w [rows, columns].

        Where `observe` names the vectors observed, x is [vectors, rows], and zero in all others.
        """
        exact, receivers = product(x, w), observed.receivers
        # Sum over all outputs of sum_k |x_k| |w_k|, without the product of the magnitudes.
        light = jnp.sum(jnp.abs(x), axis=tuple(range(x.ndim - 1))) @ jnp.sum(jnp.abs(w), axis=1)
        return cls(
            outputs=observed_count(y.size, observe),
            signal=jnp.sum(exact**2),
            error=jnp.sum(observed_alone(y - exact, observe) ** 2),
            light=light,
            conversions=receivers.conversions,
            clipped=jnp.sum(receivers.clipped),
            relative_error=receivers.relative_error,
            few_electrons=receivers.few_electrons,
            inputs=observed.inputs,
            drive=observed.drive,
            square_drive=observed.square_drive,
            macs=observed_count(y.size * w.shape[0], observe),
            launched=receivers.launched,
            detected=receivers.detected,
        )

    def snr_db(self) -> jax.Array:
        """Signal-to-noise ratio against the rms of the signal itself [dB]."""
        return 10 * jnp.log10(self.signal / self.error)

    def effective_bits(self) -> jax.Array:
        """Bits of a converter, loaded to four sigma by a Gaussian, of the same SNR: (SNR + 7.27 dB) / 6.02."""
        return (self.snr_db() + 7.27) / 6.02

    def enob_full_scale(self) -> jax.Array:
        """Effective bits of one conversion against the ADC's full scale, as data sheets state them."""
        sine_to_error_db = 10 * jnp.log10(0.5 * self.conversions / self.relative_error)
        return (sine_to_error_db - 1.76) / 6.02

    def clip_rate(self) -> Number:
        """Share of the conversions that were out of range."""
        return self.clipped / self.conversions

    def share_below_counting_limit(self) -> Number:
        """Share of the conversions with fewer than `FEWEST_ELECTRONS` photo-electrons, too few for a Gaussian."""
        return self.few_electrons / self.conversions

    def rho(self) -> jax.Array:
        """rms(y) / mean(sum_k |x_k| |w_k|). A product of larger rho needs fewer photons."""
        return jnp.sqrt(self.signal * self.outputs) / self.light

    def mean_drive(self) -> Number:
        """Mean magnitude of the inputs as a fraction of full scale."""
        return self.drive / self.inputs

    def crest_factor(self) -> jax.Array:
        """Full drive over the rms of the inputs: the crest factor of vectors whose largest element is full drive."""
        return jnp.sqrt(self.inputs / self.square_drive)

    def launched_per_mac(self) -> Number:
        """Photons launched per multiply-accumulate."""
        return self.launched / self.macs

    def detected_per_mac(self) -> Number:
        """Photo-electrons detected per multiply-accumulate."""
        return self.detected / self.macs


def total(readings: list[Diagnostics]) -> Diagnostics:
    """The sum of several diagnostics, each summed over its own axes first."""
    return jax.tree.map(lambda *leaves: sum(jnp.sum(leaf) for leaf in leaves), *readings)
