"""Options of `otc scaling`."""

import dataclasses
import math
from pathlib import Path

import models
from experiments.common.options import check_integer, check_seed
from experiments.common.text_options import TextOptions, check_context
from experiments.scaling.family import parsed
from experiments.scaling.training import STEPS_AT_ONCE, WINDOW

FEWEST_SIZES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScalingOptions(TextOptions):
    """Tiny language models that are trained here, a larger one, and whether its loss on light follows from theirs."""

    windows: int = 4
    """Windows of the text that the larger models are scored on."""
    tiny_windows: int = 16
    """Windows of the text that the tiny models are scored on; their tokens are bytes, so a window is shorter."""
    window_tokens: int = 256
    """Tokens in a window."""
    preset: str = "projected_2029"
    """Preset or device."""
    core: Path | None = None
    """A core of your own, a .toml or .json file, instead of the preset."""
    photons: tuple[float, ...] = (3_000.0, 10_000.0, 30_000.0)
    """Light levels, photons that the sources launch per MAC at the mean drive of each model."""
    reference: float = 10_000.0
    """The light level at which models are compared; one of `photons`."""
    sizes: tuple[str, ...] = ("32x2", "64x2", "48x6", "96x4", "128x4")
    """Sizes of the tiny models, WIDTHxLAYERS."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of their training, a model of each size for each."""
    train_on: str = "wikipedia_5"
    """Text that they are trained on; another than the one scored."""
    target_loss: float = 2.4
    """Loss on the end of that text at which the training of each ends [nats/byte]."""
    most_steps: int = 4000
    """Steps after which a model counts as one that does not reach it."""
    models: tuple[Path, ...] = ()
    """Further checkpoints that are run beside them, Hugging Face folders or GGUF files."""
    shapes: tuple[str, ...] = ("llama-3.1-8b", "llama-3.1-70b")
    """Shapes of the models for which the loss is stated where the tiny models predict the larger one."""
    out: Path = Path("runs/scaling")
    """Folder for summary.json, the figure, the tiny models, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        check_integer("tiny_windows", self.tiny_windows, 1)
        check_integer("most_steps", self.most_steps, STEPS_AT_ONCE)
        if self.window_tokens > WINDOW:
            raise ValueError(f"window_tokens = {self.window_tokens} must be at most {WINDOW}, as in training")
        levels = list(self.photons)
        if not levels or sorted(set(levels)) != levels or not 0 < levels[0] <= levels[-1] <= 1e12:
            raise ValueError(f"photons = {self.photons} must be numbers above 0 that rise, at most 1e12")
        if self.reference not in levels:
            raise ValueError(f"reference = {self.reference:g} must be one of photons = {self.photons}")
        sizes = [parsed(size) for size in self.sizes]
        if len(set(sizes)) != len(sizes) or len(sizes) < FEWEST_SIZES:
            raise ValueError(f"sizes = {self.sizes} must be {FEWEST_SIZES} different ones or more: a fit has an error")
        for name, values in (("width", {size.width for size in sizes}), ("depth", {size.layers for size in sizes})):
            if len(values) < 2:
                raise ValueError(f"sizes = {self.sizes} have one {name}: nothing can be fitted against it")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds = {self.seeds} must be different numbers, at least one")
        for seed in self.seeds:
            check_seed("seeds", seed)
        if not 0 < self.target_loss <= math.log(256):
            raise ValueError(f"target_loss = {self.target_loss} must be above 0 and at most ln 256 nats per byte")
        models.check_text(self.train_on)
        if self.train_on == self.text:
            raise ValueError(f"train_on = {self.train_on} is the text that is scored: give another")
        for folder in self.models:
            check_context(folder, "window_tokens", self.window_tokens)
        if unknown := [name for name in self.shapes if name not in models.CONFIGS]:
            raise ValueError(f"shapes holds {unknown[0]!r}; known: {', '.join(models.CONFIGS)}")
