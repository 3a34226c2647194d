"""Options of the programs that score a language model on a text, and the model and windows that they name."""

import dataclasses
import os
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

import models
from experiments.common.options import check_folder, check_integer, check_seed

MOST_TOKENS = 10**6
SHARE_OF_MEMORY = 1 / 3
"""Of this machine's memory: a model whose parameters take more of it in float32 is streamed."""
Stream = Literal["auto", "yes", "no"]


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
    stream: Stream = "auto"
    """Whether layers are read from the model's files as they are multiplied; auto: where memory asks for it."""
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
        checkpoint = load_model(self.model, self.stream)
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


def load_model(model: str | Path | None, stream: Stream) -> models.Checkpoint:
    """Return a model, in memory or streamed.

    Args:
        model: a Hugging Face folder or a GGUF file; None or empty for SmolLM2-135M-Instruct, which is fetched.
        stream: whether it is streamed; "auto" where its parameters in float32 take more than `SHARE_OF_MEMORY`.
    """
    path = model or models.fetch_model()
    return models.load(path, stream=stream == "yes" or stream == "auto" and not _fits(path))


def _fits(path: str | Path) -> bool:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return models.float32_bytes(path) <= SHARE_OF_MEMORY * memory


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
