"""Options of the programs that score a language model on a text, and the model and windows that they name."""

import dataclasses
from pathlib import Path
from typing import TypedDict

import numpy as np

import models
from experiments.common.options import check_folder, check_integer, check_seed

MOST_TOKENS = 10**6


class TextDescription(TypedDict):
    """Model, text and seed of a run, as summary.json states them."""

    text: str
    model: str
    windows: int
    window_tokens: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextOptions:
    """A language model on windows of a text."""

    text: str = "owt_5"
    """Evaluation text: owt_5, wikipedia_5, or the path of a UTF-8 file."""
    model: Path | None = None
    """A Hugging Face folder or a GGUF file of a supported family; without it SmolLM2-135M-Instruct is fetched."""
    windows: int = 8
    """Windows of the text that are scored."""
    window_tokens: int = 512
    """Tokens in a window."""
    seed: int = 0
    """Seed of the noise."""
    out: Path = Path("runs")
    """Folder for summary.json, the figures, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for a value out of range, with its name and the range."""
        if self.windows < 1:
            raise ValueError(f"windows = {self.windows} must be at least 1")
        if self.window_tokens < 2:
            raise ValueError(f"window_tokens = {self.window_tokens} must be at least 2: the first token is not scored")
        check_integer("windows", self.windows, 1, MOST_TOKENS)
        check_integer("window_tokens", self.window_tokens, 2, MOST_TOKENS)
        check_seed("seed", self.seed)
        check_folder("out", self.out)
        models.check_text(self.text)
        if self.model is not None:
            check_context(self.model, "window_tokens", self.window_tokens)

    @property
    def model_name(self) -> str:
        """Name of the model, for titles."""
        return str(self.model or "SmolLM2-135M-Instruct")

    def load(self) -> tuple[models.Checkpoint, np.ndarray]:
        """Return (the model, its windows of token ids [count, tokens])."""
        text = models.load_text(self.text)
        checkpoint = models.load(models.fetch_model() if self.model is None else self.model)
        return checkpoint, models.windows(checkpoint.tokenizer.encode(text), self.windows, self.window_tokens)

    def described(self) -> TextDescription:
        """Return the options as a summary states them."""
        return {
            "text": self.text,
            "model": self.model_name,
            "windows": self.windows,
            "window_tokens": self.window_tokens,
            "seed": self.seed,
        }


def check_context(model: str | Path, name: str, tokens: int) -> None:
    """Raise unless a model may be loaded and its context holds a number of tokens; no tensor is read.

    Args:
        model: a Hugging Face folder or a GGUF file.
        name: of the option that states the number.
        tokens: in one sequence.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if the model is not supported or damaged, or its context is shorter.
    """
    context = models.read_config(model).context
    if tokens > context:
        raise ValueError(f"{name} = {tokens} is more than the context of {model}, {context} tokens")
