"""A convolutional network on scikit-learn's digits, trained digitally in seconds and then, by `otc train`, on light."""

import jax
import jax.numpy as jnp
import numpy as np
from digits_mlp import examples, trained_digitally

from experiments import training

SHAPES = {"first": (3, 3, 1, 16), "second": (3, 3, 16, 32), "out": (4 * 4 * 32, 10)}


def forward(params, batch):
    x = batch["image"].reshape(-1, 8, 8, 1)
    x = jax.nn.relu(convolved(x, params["first"], 1))
    x = jax.nn.relu(convolved(x, params["second"], 2))
    return x.reshape(len(x), -1) @ params["out"]["w"] + params["out"]["b"][None]


def convolved(x, layer, stride):
    y = jax.lax.conv_general_dilated(
        x, layer["w"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + layer["b"].reshape(1, 1, 1, -1)


def initial(seed):
    draws = np.random.default_rng(seed)
    return {
        name: {
            "w": jnp.asarray(draws.normal(size=shape) * (2 / np.prod(shape[:-1])) ** 0.5, jnp.float32),
            "b": jnp.zeros(shape[-1], jnp.float32),
        }
        for name, shape in SHAPES.items()
    }


def task(seed):
    data, held_out, test = examples()
    params = trained_digitally(initial(seed), data, seed, training.CrossEntropy(forward))
    return training.Task(
        training.Distillation(forward),
        params,
        data,
        held_out=held_out,
        test=test,
        forward=forward,
        name="CNN on digits",
    )
