"""Training of the tiny models, each to the same loss on text held out, and the files that they are kept in."""

import dataclasses
import hashlib
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import models
from experiments.common.result_cache import ResultCache
from experiments.scaling.family import Size, byte_tokenizer, config_of
from experiments.training.run.order import batch_of_step

WINDOW = 256
"""Bytes of a window of training."""
BATCH = 4
"""Windows in a step."""
STEPS_AT_ONCE = 10
"""Steps between evaluations on text held out, in one call of a compiled program."""
HELD_OUT_WINDOWS = 16
HELD_OUT_SHARE = 0.1
"""Of the text, at its end."""
RATE = 0.32
"""Rate of AdamW times the width: the best rate of a matrix falls as 1 / width (Yang et al., arXiv 2203.03466)."""
WARMUP = 20


class Training(TypedDict):
    """How a tiny model came about.

    steps: taken; tokens: seen in them; loss: on text held out [nats/byte]; sha256: of the checkpoint.
    """

    steps: int
    tokens: int
    loss: float
    sha256: str


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Trains tiny models on a text.

    Attributes:
        text: name of the text.
        target_loss: on text held out, at which training ends [nats/byte].
        most_steps: after which a model counts as one that does not reach it.
        folder: of the checkpoints.
        cache: of what is known of them.
    """

    text: str
    target_loss: float
    most_steps: int
    folder: Path
    cache: ResultCache

    def trained(self, size: Size, seed: int) -> tuple[models.Checkpoint, Training]:
        """Return a model of a size, from its folder where it was trained before.

        Raises:
            ValueError: if it does not reach the loss in `most_steps`.
        """
        config, folder = config_of(size, WINDOW), self.folder / f"{size}-seed{seed}"
        text = models.load_text(self.text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        description = [dataclasses.asdict(config), seed, digest, self.target_loss, self.most_steps]
        known: Training | None = self.cache.get(description)
        if known is not None and folder.is_dir():
            found = models.load(folder, progress=False)
            if found.sha256 == known["sha256"]:
                return found, known
        tokenizer = byte_tokenizer()
        params, steps, loss = train(config, tokenizer.encode(text), seed, self.target_loss, self.most_steps, str(size))
        made = models.Checkpoint(config=config, params=params, vocabulary=tokenizer, source=folder, sha256="")
        models.save(made, folder, overwrite=True)
        found = models.load(folder, progress=False)
        known = {"steps": steps, "tokens": steps * BATCH * WINDOW, "loss": loss, "sha256": found.sha256}
        self.cache.put(description, known)
        return found, known


def train(
    config: models.DecoderConfig, tokens: np.ndarray, seed: int, target_loss: float, most_steps: int, name: str
) -> tuple[Any, int, float]:
    """Train a model until its loss on the end of the text is low enough.

    Args:
        config: its shape.
        tokens: of the text, int32 [total].
        seed: of the start and of the order of the windows.
        target_loss: [nats/byte].
        most_steps: that are taken.
        name: what the progress bar says of it.

    Returns:
        (its parameters, the steps taken, the loss on text held out).

    Raises:
        ValueError: if the loss is above the target after `most_steps`, or the text is too short.
    """
    windows = models.windows(tokens, max(len(tokens) // WINDOW, 1), WINDOW)
    apart = max(int(HELD_OUT_SHARE * len(windows)), 1)
    data, held_out = windows[:-apart], jnp.asarray(windows[-apart:][:HELD_OUT_WINDOWS])
    if len(data) < BATCH:
        raise ValueError(f"the text has {len(tokens)} tokens; training takes at least {(BATCH + 1) * WINDOW}")
    params = models.initialise(config, jax.random.key(seed))
    moments = _optimiser(config.hidden).init(params)
    loss = float(_loss(config, params, held_out))
    with tqdm(total=most_steps, desc=f"training {name}, seed {seed}", unit="step") as bar:
        for first in range(0, most_steps, STEPS_AT_ONCE):
            batches = np.stack([batch_of_step(data, seed, first + step, BATCH, 1)[0] for step in range(STEPS_AT_ONCE)])
            params, moments = _steps(config, params, moments, batches)
            loss = float(_loss(config, params, held_out))
            bar.update(STEPS_AT_ONCE)
            bar.set_postfix_str(f"held out {loss:.3f}, to {target_loss:g}")
            if loss <= target_loss:
                return params, first + STEPS_AT_ONCE, loss
    raise ValueError(
        f"{name} with seed {seed} has a loss of {loss:.3f} nats per byte after {most_steps} steps, and not "
        f"target_loss = {target_loss:g}: models of one stage are compared, so give a higher one, or more most_steps"
    )


def _optimiser(width: int) -> optax.GradientTransformation:
    rate = optax.linear_schedule(0.0, RATE / width, WARMUP)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.95, weight_decay=0.1))


@partial(jax.jit, static_argnums=0)
def _loss(config: models.DecoderConfig, params: Any, tokens: jax.Array) -> jax.Array:
    return jnp.mean(models.next_token_losses(models.forward(config, params, tokens), tokens))


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _steps(config: models.DecoderConfig, params: Any, moments: Any, batches: jax.Array) -> tuple[Any, Any]:
    """Parameters and moments after a step on each of the batches [steps, windows, tokens]."""
    optimiser = _optimiser(config.hidden)

    def step(state: tuple[Any, Any], tokens: jax.Array) -> tuple[tuple[Any, Any], None]:
        params, moments = state
        gradient = jax.grad(partial(_loss, config))(params, tokens)
        with jax.numpy_dtype_promotion("standard"):
            # Adam raises a float to the power of its integer count.
            change, moments = optimiser.update(gradient, moments, params)
        return (optax.apply_updates(params, change), moments), None

    return jax.lax.scan(step, (params, moments), batches)[0]
