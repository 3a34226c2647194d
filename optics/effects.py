"""Which imperfections are on, as numbers: an ablation is a sweep like any other and compiles nothing."""

import dataclasses

from electronics.part import Number, Part, number


def _share():
    return number("1", least=0, most=1)


class Effects(Part):
    """The share of each imperfection that acts: 1 as in nature, 0 as if it were not there.

    Noise terms scale in variance, rounding, clipping and the mask's leakage in amplitude.
    """

    dac_rounding: Number = _share()
    dac_noise: Number = _share()
    rin: Number = _share()
    weight_rounding: Number = _share()
    extinction: Number = _share()
    shot: Number = _share()
    thermal: Number = _share()
    adc_noise: Number = _share()
    adc_rounding: Number = _share()
    adc_clipping: Number = _share()

    @classmethod
    def uniform(cls, share: float) -> "Effects":
        """Every effect at the same share."""
        return cls(**{field.name: share for field in dataclasses.fields(cls)})
