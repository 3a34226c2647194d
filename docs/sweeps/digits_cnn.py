"""A convolutional network of flax on scikit-learn's digits: trained in seconds, scored on 600 images held out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

from experiments import sweeps

HELD_OUT, BATCH, STEPS = 600, 60, 400


class CNN(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.second = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.out = nnx.Linear(4 * 4 * 32, 10, rngs=rngs)

    def __call__(self, images):
        x = nnx.relu(self.norm(self.first(images)))
        x = nnx.relu(self.second(x))
        return self.out(x.reshape(len(x), -1))


def train(model, images, labels):
    rate = optax.cosine_decay_schedule(3e-3, STEPS)
    optimiser = nnx.Optimizer(model, optax.adamw(rate, weight_decay=1e-3), wrt=nnx.Param)

    def loss(model, images, labels):
        return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

    @nnx.jit
    def step(model, optimiser, images, labels):
        optimiser.update(model, nnx.grad(loss)(model, images, labels))

    draws = np.random.default_rng(1)
    for _ in range(STEPS):
        chosen = draws.integers(0, len(images), 100)
        step(model, optimiser, images[chosen], labels[chosen])


images, labels = load_digits(return_X_y=True)  # 1,797 images of 8 x 8 pixels, of 0 to 16
shuffled = np.random.default_rng(0).permutation(len(images))
images, labels = (images[shuffled] / 16).astype(np.float32).reshape(-1, 8, 8, 1), labels[shuffled]

model = CNN(nnx.Rngs(0))
train(model, images[:-HELD_OUT], labels[:-HELD_OUT])
model.eval()  # means and variances of the normalization are those of training
graph, params, statistics = nnx.split(model, nnx.Param, ...)


def forward(params, batch):
    return nnx.merge(graph, params, statistics)(batch["image"])


def score(params, batch, reference):
    logits = forward(params, batch)  # on the core
    exact, found = jax.nn.log_softmax(reference), jax.nn.log_softmax(logits)
    return {
        "accuracy": logits.argmax(-1) == batch["label"],
        "kl": jnp.sum(jnp.exp(exact) * (exact - found), axis=-1),
    }


data = {
    "image": images[-HELD_OUT:].reshape(-1, BATCH, 8, 8, 1),
    "label": labels[-HELD_OUT:].reshape(-1, BATCH),
}
metrics = {
    "accuracy": sweeps.Metric("accuracy on images held out", "1", better="more"),
    "kl": sweeps.Metric("divergence from the digital network", "nats/image", better="less", logarithmic=True),
}
function = sweeps.Function(
    score, params, data, metrics, forward=forward, tokens=BATCH, example="image", name="CNN on digits"
)
