"""Full scales of a site that a calibration on sample data has fixed."""

from typing import NamedTuple

import jax

from electronics.part import Number


class SiteRange(NamedTuple):
    """Fixed gains of the receivers of a site, and of its sources if `input_scale` is given.

    Attributes:
        full_scale: of the ADC behind each column, in units of one full product, [columns].
        input_scale: the input that full drive represents, or None to scale each vector to its own largest element.
    """

    full_scale: jax.Array
    input_scale: Number | None
