"""Ranges of a site that a calibration on sample data has fixed: of its inputs, its weights and its receivers."""

from typing import NamedTuple

import jax

from electronics.part import Number


class SiteRange(NamedTuple):
    """Ranges of inputs, weights and receivers of a site; None leaves one as it is without ranges.

    What lies beyond a range is clipped: inputs by the DAC (`effects.dac_clipping`), weights as they are loaded, and
    outputs by the ADC (`effects.adc_clipping`). A value beyond passes no gradient to itself, and moves with the range.

    Attributes:
        full_scale: of the ADC behind each column, in units of one full product, [columns]; None to follow the norms
            of vector and column (`adc.span`).
        input_scale: the input that full drive represents at all vectors, or None.
        input_share: the share of each vector's largest element that full drive represents, above 0 and at most 1;
            None for all of it.
        weight_share: the share of each column's largest weight that a clear pixel represents, [columns], above 0 and
            at most 1; None for all of it. With `encoding.scales` of "tile" it is that of the tile's largest.
    """

    full_scale: jax.Array | None
    input_scale: Number | None = None
    input_share: Number | None = None
    weight_share: jax.Array | None = None

    @property
    def follows_vectors(self) -> tuple[str, ...]:
        """What is set anew for each vector: "inputs", its digital scale, and "receivers", the gain before the ADC.

        A device that follows each vector needs the largest element, or the norm, before it sends the vector, and for
        receivers an amplifier whose gain is set at the symbol rate. Public devices have fixed ranges.
        """
        inputs = () if self.input_scale is not None else ("inputs",)
        return inputs if self.full_scale is not None else (*inputs, "receivers")
