"""ResNet-50 in plain JAX, for its shapes: K. He et al., CVPR 2016, with the stride in the 3 x 3 convolution (v1.5).

Batch normalisation is folded into weights and biases, as for inference.
"""

from typing import Any

import jax
import jax.numpy as jnp

IMAGE = (224, 224, 3)
CLASSES = 1000
STEM = 64
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width, blocks and stride of each stage."""
EXPANSION = 4
"""Outputs of a block over its width."""

Params = dict[str, Any]


def parameter_shapes() -> Params:
    """Return the parameter tree with a `jax.ShapeDtypeStruct` for every array."""
    blocks, inputs = [], STEM
    for width, count, _ in STAGES:
        for number in range(count):
            outputs = EXPANSION * width
            block = {
                "reduce": _convolution(1, inputs, width),
                "middle": _convolution(3, width, width),
                "expand": _convolution(1, width, outputs),
            }
            if number == 0:
                block["shortcut"] = _convolution(1, inputs, outputs)
            blocks.append(block)
            inputs = outputs
    head = {"weights": _array(inputs, CLASSES), "bias": _array(CLASSES)}
    return {"stem": _convolution(7, IMAGE[-1], STEM), "blocks": blocks, "head": head}


def forward(params: Params, images: jax.Array) -> jax.Array:
    """Return logits [batch, CLASSES] of images [batch, height, width, 3]."""
    x = jax.nn.relu(_convolve(params["stem"], images, 2))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    strides = [stride if number == 0 else 1 for _, count, stride in STAGES for number in range(count)]
    for block, stride in zip(params["blocks"], strides, strict=True):
        y = jax.nn.relu(_convolve(block["reduce"], x))
        y = jax.nn.relu(_convolve(block["middle"], y, stride))
        shortcut = _convolve(block["shortcut"], x, stride) if "shortcut" in block else x
        x = jax.nn.relu(_convolve(block["expand"], y) + shortcut)
    return x.mean(axis=(1, 2)) @ params["head"]["weights"] + params["head"]["bias"][None]


def _convolve(layer: Params, x: jax.Array, stride: int = 1) -> jax.Array:
    found = jax.lax.conv_general_dilated(
        x, layer["weights"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return found + layer["bias"][None, None, None]


def _convolution(size: int, inputs: int, outputs: int) -> Params:
    return {"weights": _array(size, size, inputs, outputs), "bias": _array(outputs)}


def _array(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
