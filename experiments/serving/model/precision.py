"""Precisions: bytes per weight, key and value, and the rates at which a machine multiplies them."""

import dataclasses

from electronics.part import nearest


@dataclasses.dataclass(frozen=True)
class Precision:
    """Precision of a stored model.

    `weight_bytes` and `kv_bytes` are bytes per value, block scales included. Products with weights run at the machine's
    rate for `name`, attention at its rate for `attention`.
    """

    name: str
    weight_bytes: float
    kv_bytes: float
    attention: str


# NVFP4 and INT4 have one 8-bit scale per 16 values, BFP8 one 8-bit exponent per 16. TensorRT-LLM's checkpoints keep
# keys and values in FP8 both with FP4 and with FP8 weights.
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
    """Return the precision of a name; raise ValueError, with the nearest name, for an unknown one."""
    if name not in PRECISIONS:
        raise ValueError(f"no precision {name!r}{nearest(name, list(PRECISIONS))}")
    return PRECISIONS[name]
