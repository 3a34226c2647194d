"""The operating point of a core: numbers of the analogue path that are the same for every vector and every weight."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.part import Number
from optics.components.architecture import Architecture


class OperatingPoint(NamedTuple):
    """Scalars, derived once for all stages of a product: a gradient would otherwise derive them in each stage again.

    Attributes:
        intensity_common, intensity_own: relative variance of the light, common to all sources and of each one.
        dac_noise: variance of the noise of a DAC over full drive squared.
        dark: light of an undriven source, relative to full drive, [1, 1].
        fan_out: power on each pixel of a source over that of the source.
        bandwidth: noise bandwidth of the receivers [Hz].
        isi: share of a symbol's charge that is integrated in the next symbol.
        unit_current: photocurrent of one full product [A].
        thermal, reset: variance of the amplifier's noise, per symbol and per conversion, in `unit_current`^2.
        full_well: current that fills the integrator, in `unit_current`.
        adc_noise: variance of the noise of an ADC over its full scale squared.
    """

    intensity_common: Number
    intensity_own: Number
    dac_noise: Number
    dark: jax.Array
    fan_out: Number
    bandwidth: Number
    isi: Number
    unit_current: Number
    thermal: Number
    reset: Number
    full_well: Number
    adc_noise: Number

    @classmethod
    @partial(jax.jit, static_argnums=0)
    def of(cls, core: Architecture) -> "OperatingPoint":
        """The operating point with the shares of the effects that act; one function of a program for all its sites."""
        on, tia = core.effects, core.tia
        bandwidth, unit_current = tia.noise_bandwidth(core.clock), core.unit_current
        intensity = on.rin * core.source.intensity_variance(bandwidth)
        return cls(
            intensity_common=core.source.rin_in_common * intensity,
            intensity_own=(1 - core.source.rin_in_common) * intensity,
            dac_noise=on.dac_noise * core.dac.noise_variance(),
            dark=jnp.asarray(on.linearisation * core.transfer.dark),
            fan_out=core.space.fan_out(core.pixels_per_source),
            bandwidth=bandwidth,
            isi=on.isi * tia.isi_share(core.clock),
            unit_current=unit_current,
            thermal=on.thermal * tia.noise_variance(bandwidth, unit_current),
            reset=on.thermal * tia.reset_variance(core.clock, unit_current),
            full_well=tia.largest_current(core.clock) * inverse(unit_current),
            adc_noise=on.adc_noise * core.adc.noise_variance(),
        )
