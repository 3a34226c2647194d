"""How much light a core needs for a precision, by the two meanings that precision has."""

from electronics import Number
from electronics.book import ELEMENTARY_CHARGE
from electronics.limits import signal_to_noise
from electronics.part import nearest
from electronics.validation import caused_by
from optics import checks
from optics.book import photon_energy, transmission
from optics.core import TensorCore

DESIGN_INPUT_RMS = 0.25
DESIGN_INPUT_MEAN = 0.2
DESIGN_WEIGHT_RMS = 0.25
DESIGN_WEIGHT_MEAN = 0.2
REFERENCES = ("product", "full scale")
MOST_BITS = 24.0


def lit(core: TensorCore, effective_bits: Number, *, against: str = "product") -> TensorCore:
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
        return _with_power(core, sized(core, effective_bits))


def photons_per_mac(core: TensorCore) -> Number:
    """Photons that the sources launch per multiply-accumulate, at the mean drive that is billed."""
    energy = core.source.power * core.encoding.light(core.source.mean_drive) / core.clock
    return energy / (photon_energy(core.source.wavelength) * core.columns)


def lit_by(core: TensorCore, photons: Number) -> TensorCore:
    """`core` with the source power that launches so many photons per multiply-accumulate, see `photons_per_mac`.

    The integrator's full well follows as in `lit`. Raises ValueError for `photons` that are not above 0, or that take
    more light than a core may have.
    """
    checks.above("photons", photons, 0.0)
    with caused_by(f"photons = {checks.stated(photons)} per MAC"):
        return _with_power(core, core.source.power * photons / photons_per_mac(core))


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
    with SNR = 1.5 4^b and R = 1 A/W; a MAC is billed E / N, over the losses and over the mean drive, so that the
    mean vector suffices. It is their count, not ours: one pixel a product, and the noise of a bandwidth f.
    """
    snr, responsivity = signal_to_noise(effective_bits), 1.0
    shot = 2 * ELEMENTARY_CHARGE * snr
    thermal = snr**0.5 * _noise_density(core) / core.clock**0.5
    per_mac = _larger(shot, thermal) / responsivity / core.rows / (core.source.mean_drive * _passed(core))
    return per_mac * core.clock * core.columns / core.source.mean_drive


def _with_power(core: TensorCore, power: Number) -> TensorCore:
    bright = core.replace({"source.power": power})
    return bright.replace({"tia.full_well": core.tia.full_well * _larger(1.0, bright.electrons / core.electrons)})


def _power(core: TensorCore, effective_bits: Number) -> Number:
    electrons = photoelectrons(effective_bits, core.rows, _noise_density(core), core.clock)
    return electrons / _passed(core) * photon_energy(core.source.wavelength) * core.clock * core.ways


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
