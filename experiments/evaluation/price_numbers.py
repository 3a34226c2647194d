"""Numbers of a core that only a price depends on, so that results of a run hold where they change."""

PRICE_ONLY = frozenset(
    {
        "vectors_per_load",
        "dac.energy_at_8_bits",
        "dac.bits_exponent",
        "dac.rate_exponent",
        "dac.corner_rate",
        "source.wall_plug_efficiency",
        "source.bias_power",
        "source.mean_drive",
        "mask.write_energy",
        "mask.update_time",
        "tia.power",
        "adc.survey_factor",
        "upkeep.interval",
        "upkeep.probes",
        "digital.sram_energy",
        "digital.wire_energy",
        "digital.wire_length",
        "digital.add_energy",
        "digital.rescale_energy",
        "digital.mac_energy",
        "digital.operation_energy",
        "digital.memory_energy",
        "overhead.conversion_efficiency",
        "overhead.host_share",
    }
)
"""Fields of a `TensorCore`. tests/experiments/evaluation asks the emulated program of each preset that it reads none of
them."""


def is_price_only(name: str) -> bool:
    """Whether a number of a core, or of a core of a design as "rules.0.core.tia.power", is in `PRICE_ONLY`."""
    return any(name == field or name.endswith(f".{field}") for field in PRICE_ONLY)
