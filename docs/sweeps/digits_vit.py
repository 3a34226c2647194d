"""A vision transformer of flax on scikit-learn's digits: trained in seconds, scored on 600 images held out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

from experiments import sweeps

HELD_OUT, BATCH, STEPS = 600, 60, 400


class Block(nnx.Module):
    def __init__(self, width, rngs):
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, width, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 2 * width, rngs=rngs)
        self.down = nnx.Linear(2 * width, width, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class ViT(nnx.Module):
    def __init__(self, width, rngs):
        self.embed = nnx.Conv(1, width, (2, 2), strides=2, padding="VALID", rngs=rngs)
        self.position = nnx.Param(0.5 * jax.random.normal(rngs.params(), (1, 16, width)))
        self.blocks = nnx.List([Block(width, rngs) for _ in range(2)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.out = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, images):
        x = self.embed(images).reshape(len(images), 16, -1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x.mean(axis=1)))


def forward(params, batch):
    return nnx.merge(graph, params)(batch["image"])


def train(params, images, labels):
    rate = optax.warmup_cosine_decay_schedule(0.0, 5e-3, STEPS // 10, STEPS)
    optimiser = optax.adamw(rate, weight_decay=1e-2)

    def loss(params, images, labels):
        logits = forward(params, {"image": images})
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(state, chosen):
        params, moments = state
        gradient = jax.grad(loss)(params, images[chosen], labels[chosen])
        change, moments = optimiser.update(gradient, moments, params)
        return (optax.apply_updates(params, change), moments), None

    chosen = np.random.default_rng(1).integers(0, len(images), (STEPS, 64))
    (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), chosen)
    return params


images, labels = load_digits(return_X_y=True)  # 1,797 images of 8 x 8 pixels, of 0 to 16
shuffled = np.random.default_rng(0).permutation(len(images))
images, labels = (images[shuffled] / 16).astype(np.float32).reshape(-1, 8, 8, 1), labels[shuffled]

graph, params = nnx.split(ViT(32, nnx.Rngs(0)))
params = train(params, jnp.asarray(images[:-HELD_OUT]), jnp.asarray(labels[:-HELD_OUT]))


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
    score, params, data, metrics, forward=forward, tokens=BATCH, example="image", name="ViT on digits"
)
