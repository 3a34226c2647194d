"""A network of three layers on scikit-learn's digits, trained digitally in seconds; `otc train` goes on on light."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from experiments import sweeps, training

HELD_OUT, TEST, STEPS, BATCH, WIDTH = 300, 500, 500, 100, 64


def forward(params, batch):
    x = jax.nn.relu(batch["image"] @ params["first"]["w"] + params["first"]["b"][None])
    x = jax.nn.relu(x @ params["second"]["w"] + params["second"]["b"][None])
    return x @ params["out"]["w"] + params["out"]["b"][None]


def initial(seed):
    draws = np.random.default_rng(seed)
    widths = {"first": (64, WIDTH), "second": (WIDTH, WIDTH), "out": (WIDTH, 10)}
    return {
        name: {
            "w": jnp.asarray(draws.normal(size=shape) * (2 / shape[0]) ** 0.5, jnp.float32),
            "b": jnp.zeros(shape[1], jnp.float32),
        }
        for name, shape in widths.items()
    }


def examples():
    """1,797 images of 8 x 8 pixels, in an order that is always the same: (to train on, held out, to test)."""
    images, labels = load_digits(return_X_y=True)
    shuffled = np.random.default_rng(0).permutation(len(images))
    data = {"image": (images[shuffled] / 16).astype(np.float32), "label": labels[shuffled].astype(np.int32)}
    cuts = (slice(0, -HELD_OUT - TEST), slice(-HELD_OUT - TEST, -TEST), slice(-TEST, None))
    return [{name: array[cut] for name, array in data.items()} for cut in cuts]


def trained_digitally(params, data, seed, loss):
    optimiser = optax.adamw(optax.cosine_decay_schedule(3e-3, STEPS), weight_decay=1e-2)

    def step(state, chosen):
        params, moments = state
        batch = {name: jnp.asarray(array)[chosen] for name, array in data.items()}
        gradient = jax.grad(lambda params: loss(params, batch, None)["loss"])(params)
        change, moments = optimiser.update(gradient, moments, params)
        return (optax.apply_updates(params, change), moments), None

    chosen = np.random.default_rng(seed).integers(0, len(data["label"]), (STEPS, BATCH))
    with jax.numpy_dtype_promotion("standard"):
        return jax.jit(lambda state: jax.lax.scan(step, state, chosen)[0][0])((params, optimiser.init(params)))


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
        name="MLP on digits",
    )


def scored():
    """The network trained digitally, and how often it is right on images to test: `otc drift` runs it over an hour."""
    trained = task(0)

    def score(params, batch, reference):
        logits = forward(params, batch)
        exact, found = jax.nn.log_softmax(reference), jax.nn.log_softmax(logits)
        return {
            "accuracy": logits.argmax(-1) == batch["label"],
            "kl": jnp.sum(jnp.exp(exact) * (exact - found), axis=-1),
        }

    metrics = {
        "accuracy": sweeps.Metric("accuracy", "1", better="more"),
        "kl": sweeps.Metric("divergence from the digital network", "nats/image", better="less", logarithmic=True),
    }
    data = {name: array[None] for name, array in trained.test.items()}
    return sweeps.Function(
        score, trained.params, data, metrics, forward=forward, tokens=TEST, example="image", name="MLP on digits"
    )
