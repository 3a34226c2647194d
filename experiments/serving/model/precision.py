"""In how many bytes a machine keeps weights, keys and values, and at which of its rates it multiplies them."""

import dataclasses

from electronics.part import nearest


@dataclasses.dataclass(frozen=True)
class Precision:
    """A way to keep a model.

    `weight_bytes` and `kv_bytes` are bytes per value, block scales included; products of weights run at the machine's
    rate for `name`, those of attention at its rate for `attention`.
    """

    name: str
    weight_bytes: float
    kv_bytes: float
    attention: str


# NVFP4 and INT4 have one 8-bit scale to 16 values, BFP8 one 8-bit exponent to 16. With FP4 weights TensorRT-LLM's
# checkpoints keep keys and values in FP8, with FP8 weights too.
PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("bf16", 2.0, 2.0, "bf16"),
        Precision("fp8", 1.0, 1.0, "fp8"),
        Precision("int8", 1.0, 1.0, "int8"),
        Precision("bfp8", 1.0625, 1.0625, "bfp8"),
        Precision("fp4", 0.5625, 1.0, "fp8"),
        Precision("int4", 0.5625, 1.0, "int8"),
    )
}


def precision_named(name: str) -> Precision:
    """The precision of that name; an unknown one is a ValueError that names the nearest."""
    if name not in PRECISIONS:
        raise ValueError(f"no precision {name!r}{nearest(name, list(PRECISIONS))}")
    return PRECISIONS[name]
