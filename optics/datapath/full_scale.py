"""Full scales of one site, where a calibration on sample data has fixed them."""

from typing import NamedTuple

import jax

from electronics.part import Number


class SiteRange(NamedTuple):
    """Fixed gains of the receivers of a site, and of its sources if `input_scale` is given.

    full_scale [columns]: that of the ADC behind each column, in units of one full product; input_scale: the input
    that full drive stands for, or None where each vector is scaled to its own largest element.
    """

    full_scale: jax.Array
    input_scale: Number | None
