"""Switches of all nonidealities, as numbers, so that an ablation is a sweep that compiles once."""

import dataclasses

from electronics.part import Number, Part, number

# Nonidealities that are the same in every call, which a better device or calibration could remove.
FIXED = (
    "dac_nonlinearity",
    "linearisation",
    "source_mismatch",
    "vignetting",
    "input_crosstalk",
    "extinction",
    "mask_mismatch",
    "settling",
    "blur",
    "stray_light",
    "output_crosstalk",
    "detector_mismatch",
    "isi",
    "adc_offset",
    "drift",
)


def _share():
    return number("1", least=0, most=1)


class Effects(Part):
    """The share of each nonideality that acts: 1 as in the hardware, 0 for none.

    Noise scales in variance, everything else in amplitude. `linearisation` is the residual of the inverse table of the
    source's curve. `source_mismatch` and `detector_mismatch` are gains and offsets. `isi` is inter-symbol
    interference from the receiver's finite bandwidth, and `saturation` its full well. `correction` is the share of a
    calibration's correction that is applied.
    """

    dac_clipping: Number = _share()
    dac_rounding: Number = _share()
    dac_nonlinearity: Number = _share()
    dac_noise: Number = _share()
    linearisation: Number = _share()
    rin: Number = _share()
    source_mismatch: Number = _share()
    vignetting: Number = _share()
    input_crosstalk: Number = _share()
    weight_rounding: Number = _share()
    smallest_step: Number = _share()
    extinction: Number = _share()
    mask_mismatch: Number = _share()
    settling: Number = _share()
    blur: Number = _share()
    stray_light: Number = _share()
    output_crosstalk: Number = _share()
    detector_mismatch: Number = _share()
    shot: Number = _share()
    thermal: Number = _share()
    isi: Number = _share()
    saturation: Number = _share()
    jitter: Number = _share()
    adc_offset: Number = _share()
    adc_noise: Number = _share()
    adc_rounding: Number = _share()
    adc_clipping: Number = _share()
    drift: Number = _share()
    correction: Number = _share()

    @classmethod
    def uniform(cls, share: float) -> "Effects":
        """All effects at the same share."""
        return cls(**{field.name: share for field in dataclasses.fields(cls)})

    @classmethod
    def only(cls, *names: str) -> "Effects":
        """The named effects at 1 and all others at 0."""
        return cls.uniform(0.0).replace(dict.fromkeys(names, 1.0))
