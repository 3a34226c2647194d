"""Names of the energy components that a core puts on the bill."""

import enum


class CostComponent(enum.StrEnum):
    """Energy components of a core, named as tables, figures and summary.json print them.

    A bill has further components, named by the function that is priced: its elementwise operations, one for each
    `jax.named_scope`, and its traffic to main memory.
    """

    DAC = "DAC"
    LASER_LIGHT = "laser light"
    LASER_BIAS = "laser bias"
    TIA = "TIA"
    ADC = "ADC"
    INPUT_MOVEMENT = "input movement"
    PATCH_MOVEMENT = "patch movement"
    OUTPUT_MOVEMENT = "output movement"
    PARTIAL_SUMS = "partial sums"
    WEIGHT_FETCH = "weight fetch"
    MASK_WRITE = "mask write"
    IDLE_AT_RELOAD = "idle at reload"
    CALIBRATION = "calibration"
    DIGITAL_PRODUCTS = "digital products"
    HOST = "host, network, fans"
    POWER_CONVERSION = "power conversion"

    # A printed bill shows plain strings.
    __repr__ = str.__repr__
