"""Weights in MXFP4: blocks of 32 numbers of 4 bits with one scale, a power of two.

A tensor NAME of [..., in, out] is stored as NAME_blocks, bytes [..., out, in / 32, 16], the even number in the low half
of each byte, and NAME_scales, bytes [..., out, in / 32], exponents with an offset of 127. Source: OCP Microscaling
Formats (MX) v1.0, and transformers' `convert_moe_packed_tensors`.
"""

import ml_dtypes
import numpy as np

from models.checkpoints.stored_tensor import StoredTensor

_VALUES = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], np.float32)
_FP4 = np.concatenate([_VALUES, -_VALUES])
_BLOCKS, _SCALES = "_blocks", "_scales"


def decoded(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return tensors with every pair of blocks and scales replaced by what they stand for, decoded when it is read.

    Raises:
        ValueError: if blocks have no scales, or the shapes of the two do not belong together.
    """
    found = dict(tensors)
    for name, blocks in tensors.items():
        if not name.endswith(_BLOCKS) or blocks.dtype != np.uint8:
            continue
        plain = name.removesuffix(_BLOCKS)
        scales = tensors.get(plain + _SCALES)
        if scales is None:
            raise ValueError(f"{blocks.file}: tensor {plain + _SCALES!r} is missing beside {name!r}")
        if scales.dtype != np.uint8 or len(blocks.shape) < 3 or blocks.shape != (*scales.shape, 16):
            raise ValueError(
                f"{blocks.file}: tensor {name!r} has shape {blocks.shape} and its scales {scales.shape}; blocks are 16 "
                "bytes for each scale"
            )
        del found[name], found[plain + _SCALES]
        *outer, rows, count, _ = blocks.shape
        found[plain] = StoredTensor(
            plain,
            (*outer, 32 * count, rows),
            np.dtype(ml_dtypes.bfloat16),
            blocks.file,
            lambda blocks=blocks, scales=scales: _decode(blocks.read(), scales.read()),
        )
    return found


def _decode(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    values = np.stack([_FP4[blocks & 15], _FP4[blocks >> 4]], axis=-1)
    values = np.ldexp(values, scales[..., None, None].astype(np.int32) - 127)
    rows = values.reshape(*blocks.shape[:-2], -1)
    # Two significant bits and the exponents of bfloat16: nothing is rounded.
    return rows.swapaxes(-1, -2).astype(ml_dtypes.bfloat16)
