"""A language model to train on text, by distillation from its digital self."""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import jax

import models
from experiments.common.options import check_integer
from experiments.common.text_options import MOST_TOKENS, check_context, load_model
from experiments.training.method.losses import Distillation
from experiments.training.task import Task


def model_name(model: Path | None) -> str:
    """Return the name of a model, for titles."""
    return str(model or "SmolLM2-135M-Instruct")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedText:
    """A language model, a text to train on and another one held out.

    Attributes:
        model: a Hugging Face folder or a GGUF file; None for SmolLM2-135M-Instruct, which is fetched.
        text: a named text or a file.
        held_out_text: another; the best state is chosen by its first half, and the table is of the second.
        windows: of the text.
        held_out_windows: of the text held out.
        window_tokens: tokens in a window.
        temperature: of the distillation.
        held_out_after: windows of the text held out that come before those, and are not used.
    """

    model: Path | None
    text: str
    held_out_text: str
    windows: int
    held_out_windows: int
    window_tokens: int
    temperature: float
    held_out_after: int = 0

    def check(self, micro: int) -> None:
        """Raise ValueError or FileNotFoundError for what cannot be, before the model is loaded.

        Args:
            micro: windows in a micro-batch.
        """
        for name, least in (("windows", 1), ("held_out_windows", 2 * micro), ("window_tokens", 2)):
            check_integer(name, getattr(self, name), least, MOST_TOKENS)
        check_integer("held_out_after", self.held_out_after, 0, MOST_TOKENS)
        for text in (self.text, self.held_out_text):
            models.check_text(text)
        if self.text == self.held_out_text:
            raise ValueError(f"held_out_text = {self.held_out_text} is the text that is trained on: give another")
        if self.model is not None:
            check_context(self.model, "window_tokens", self.window_tokens)
        Distillation(_nothing, self.temperature)

    def load(self) -> Task:
        """Return the model with its windows.

        Raises:
            ValueError: for a text that is shorter than its windows.
        """
        checkpoint = self.checkpoint
        data, held_out = (
            {"tokens": self._windows(name, after, count)}
            for name, after, count in (
                (self.text, 0, self.windows),
                (self.held_out_text, self.held_out_after, self.held_out_windows),
            )
        )
        half = self.held_out_windows // 2
        forward = _Logits(checkpoint)
        return Task(
            Distillation(forward, self.temperature),
            checkpoint.params,
            data,
            held_out=jax.tree.map(lambda windows: windows[:half], held_out),
            test=jax.tree.map(lambda windows: windows[half:], held_out),
            forward=forward,
            name=model_name(self.model),
        )

    @cached_property
    def checkpoint(self) -> models.Checkpoint:
        """The model, in memory."""
        return load_model(self.model, "no")

    def _windows(self, name: str, after: int, count: int) -> Any:
        tokens = self.checkpoint.tokenizer.encode(models.load_text(name))
        try:
            return models.windows(tokens, after + count, self.window_tokens)[after:]
        except ValueError as error:
            raise ValueError(f"{name} is too short: {error}") from None


@dataclasses.dataclass(frozen=True)
class _Logits:
    """The forward pass on a batch; equal for one checkpoint, so that it is compiled once."""

    checkpoint: models.Checkpoint

    def __call__(self, params: Any, batch: Any) -> jax.Array:
        return self.checkpoint.forward(params, batch["tokens"])


def _nothing(params: Any, batch: Any) -> Any:
    return None
