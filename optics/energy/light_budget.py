"""How much light a core needs for a precision, by the two meanings that precision has."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from electronics import Number
from electronics.constants import ELEMENTARY_CHARGE
from electronics.converters.limits import signal_to_noise
from electronics.part import nearest
from electronics.validation import caused_by
from optics import checks
from optics.constants import photon_energy, transmission
from optics.core.tensor_core import TensorCore
from optics.interpreter.priced import DriveDiagnostics

DESIGN_INPUT_RMS = 0.25
DESIGN_INPUT_MEAN = 0.2
DESIGN_WEIGHT_RMS = 0.25
DESIGN_WEIGHT_MEAN = 0.2
REFERENCES = ("product", "full scale")
MOST_BITS = 24.0


def with_effective_bits(core: TensorCore, effective_bits: Number, *, against: str = "product") -> TensorCore:
    """`core` with the source power that its losses and its amplifier's noise ask for; traces, vmaps, differentiates.

    against: what the noise is counted against. "product": the rms of the dot product of four-sigma Gaussian inputs
    and weights on a full core, which has an SNR of 6.02 b - 7.27 dB (see `photoelectrons`). "full scale": the largest
    signal of the detector (see `full_scale_power`). Shot and amplifier noise count, all else being ideal, for inputs
    and weights on rails: what other encodings lose in precision they must be given in bits. Where the
    light grows, the integrator's full well grows with it, or it would saturate; where it shrinks the well stays.

    Raises ValueError for `effective_bits` out of 0 to 24, or that take more light than a core may have.
    """
    if against not in REFERENCES:
        raise ValueError(f"against = {against!r} is no reference{nearest(against, list(REFERENCES))}")
    checks.between("effective_bits", effective_bits, 0.0, MOST_BITS)
    sized = _power if against == "product" else full_scale_power
    with caused_by(f"effective_bits = {checks.stated(effective_bits)}"):
        return with_source_power(core, sized(core, effective_bits))


def photons_per_mac(core: TensorCore, readings: Mapping[str, Any] | None = None) -> Number:
    """Photons that the sources launch per multiply-accumulate: P l / (f h nu M), l the light of the mean drive.

    The mean drive is that of `readings` where they are given (see `measured_drive`), else `source.mean_drive`, as it is
    billed. A product whose columns do not fill the core's tiles launches this towards each of its own; what
    the unused columns get is in the bill and not in here.
    """
    drive = core.source.mean_drive if readings is None else measured_drive(readings)
    energy = core.source.power * core.encoding.light(drive) / core.clock
    return energy / (photon_energy(core.source.wavelength) * core.columns)


def with_photons_per_mac(core: TensorCore, photons: Number, readings: Mapping[str, Any] | None = None) -> TensorCore:
    """`core` with the source power that launches so many photons per multiply-accumulate, see `photons_per_mac`.

    The integrator's full well follows as in `with_effective_bits`. Inputs brighter than the mean drive launch more:
    where `source.mean_drive` is not that of the function at hand, give the `readings` of a run of it. Raises ValueError
    for `photons` that are not above 0, or that take more light than a core may have.
    """
    checks.above("photons", photons, 0.0)
    with caused_by(f"photons = {checks.stated(photons)} per MAC"):
        return with_source_power(core, core.source.power * photons / photons_per_mac(core, readings))


def measured_drive(readings: Mapping[str, Any]) -> Number:
    """Mean magnitude of the inputs as a fraction of full scale, averaged over the MACs of all sites.

    readings: by site name, as `emulate(..., diagnostics=True)` returns them. By MACs and not by inputs, as light is
    launched towards every column: it is what makes `photons_per_mac` those of `Diagnostics.launched_per_mac`.

    Raises ValueError where there are none.
    """
    if not readings:
        raise ValueError("there are no readings to take a mean drive from")
    macs = [jnp.sum(seen.macs) for seen in readings.values()]
    return sum(m * mean_drive(seen) for m, seen in zip(macs, readings.values(), strict=True)) / sum(macs)


def mean_drive(seen: Any) -> Number:
    """Mean drive of one site: of `Diagnostics`, summed over their leading axes, or the number itself."""
    return jnp.sum(seen.drive) / jnp.sum(seen.inputs) if isinstance(seen, DriveDiagnostics) else seen


def photoelectrons(effective_bits: Number, rows: int, noise_density: Number, clock: Number) -> Number:
    """Electrons that one product x = 1, w = 1 must give for 6.02 b - 7.27 dB against the rms of the dot product.

    Solves SNR = n^2 N x_rms^2 w_rms^2 / (n N E|x| E|w| + i_n^2 / (2 f q^2)) for n, with the moments of four-sigma
    Gaussian inputs and weights (see docs/physics.md).
    """
    snr = 10.0 ** ((6.02 * effective_bits - 7.27) / 10)
    signal = rows * DESIGN_INPUT_RMS**2 * DESIGN_WEIGHT_RMS**2
    shot = rows * DESIGN_INPUT_MEAN * DESIGN_WEIGHT_MEAN
    thermal = (noise_density / ELEMENTARY_CHARGE) ** 2 / (2 * clock)
    return (snr * shot + ((snr * shot) ** 2 + 4 * signal * snr * thermal) ** 0.5) / (2 * signal)


def full_scale_power(core: TensorCore, effective_bits: Number) -> Number:
    """Source power [W] where the noise is `effective_bits` below the largest signal of a detector.

    Most papers count so. The largest signal needs E = max(2 q SNR / R, sqrt(SNR) i_n / (sqrt(f) R)) of light a symbol,
    with SNR = 1.5 4^b and R = 1 A/W; a MAC gets E / N, over the losses and over the mean drive of four-sigma Gaussian
    inputs, so that their mean vector suffices. It is their count, not ours: one pixel a product, and the noise of a
    bandwidth f. What a model's own inputs launch is billed by `source.mean_drive` all the same.
    """
    snr, responsivity = signal_to_noise(effective_bits), 1.0
    shot = 2 * ELEMENTARY_CHARGE * snr
    thermal = snr**0.5 * _noise_density(core) / core.clock**0.5
    per_mac = _larger(shot, thermal) / responsivity / core.rows / (DESIGN_INPUT_MEAN * _passed(core))
    return per_mac * core.clock * core.columns / DESIGN_INPUT_MEAN


def with_source_power(core: TensorCore, power: Number) -> TensorCore:
    """`core` with sources of that peak power [W]; traces, vmaps, differentiates.

    The integrator's full well grows with the light, or it would saturate; where the light shrinks it stays.
    """
    bright = core.replace({"source.power": power})
    return bright.replace({"tia.full_well": core.tia.full_well * _larger(1.0, bright.electrons / core.electrons)})


def _power(core: TensorCore, effective_bits: Number) -> Number:
    electrons = photoelectrons(effective_bits, core.rows, _noise_density(core), core.clock)
    return electrons / _passed(core) * photon_energy(core.source.wavelength) * core.clock * core.pixels_per_source


def _noise_density(core: TensorCore) -> Number:
    """Input-referred current noise of amplifier and feedback resistor [A/sqrt(Hz)]."""
    return core.tia.noise_variance(1.0) ** 0.5


def _passed(core: TensorCore) -> Number:
    """Photo-electrons per photon that leaves a source."""
    loss_db = core.space.fan_out_loss_db + core.mask.loss_db + core.space.fan_in_loss_db
    return core.detector.quantum_efficiency * transmission(loss_db)


def _larger(a: Number, b: Number) -> Number:
    # In plain arithmetic, so that a preset that is made inside a jit holds numbers and not tracers.
    return (a + b + abs(a - b)) / 2
