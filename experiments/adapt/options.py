"""Options of `otc adapt`."""

import dataclasses
from pathlib import Path

import models
from experiments.adapt.methods import ON_CORE, parsed
from experiments.common.options import check_integer, check_seed
from experiments.common.text_options import TextOptions, check_context
from experiments.common.workload import Attention, check_attention, shapes_named


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptOptions(TextOptions):
    """A language model on a core as they are, and prepared for each other by methods without training."""

    windows: int = 4
    """Windows of the text that are scored."""
    window_tokens: int = 256
    """Tokens in a window."""
    preset: str = "projected_2029"
    """Preset or device."""
    core: Path | None = None
    """A core of your own, a .toml or .json file, instead of the preset."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    methods: tuple[str, ...] = (
        "fold+rescale",
        "rotate-residual+rotate-values+rotate-down",
        "sinks",
        "sinks+light",
        "sinks+fold+rescale",
        "sinks+fold+rescale+light",
    )
    """Methods, each of steps joined by +. On the model: fold, rescale, rotate-residual, rotate-values, rotate-down.
    On the core: sinks, light, gain, least-squares, ranges."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the rotations; a method with one is run for each."""
    sinks: int = 2
    """First tokens whose products with weights are digital after a step sinks."""
    search_steps: int = 24
    """Steps of the descent of a step light, gain or ranges."""
    trained: tuple[Path, ...] = ()
    """Models of the same vocabulary that were trained, folders, each as one more row against the digital model."""
    trained_method: str = "none"
    """Steps on the core for these: sinks, light, gain, least-squares and ranges, as in a method."""
    light: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Light levels, factors on the source power of the core; 1 must be among them."""
    keys: int = 1
    """Draws of the noise of each window."""
    devices: tuple[int, ...] = (0,)
    """Serial numbers of the devices whose fixed imperfections are drawn."""
    calibrate_on: str = "wikipedia_5"
    """Text on which inputs are measured and exponents and settings are searched; another than the one scored."""
    calibration_windows: int = 1
    """Windows of that text."""
    shapes: str = "llama-3.1-70b"
    """Shapes of the model whose watts at 1 exaOPS are stated, each kind of site billed at the drive measured here."""
    kl: float = 0.05
    """KL [nats per token] for which the watts of each method are stated."""
    save: bool = True
    """Save the best model that was not trained, and the core, in the folder `out`."""
    out: Path = Path("runs/adapt")
    """Folder for summary.json, the figure, the best model, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        check_integer("keys", self.keys, 1)
        check_integer("calibration_windows", self.calibration_windows, 1)
        check_integer("sinks", self.sinks, 1, self.window_tokens - 1)
        check_integer("search_steps", self.search_steps, 2)
        for name in ("seeds", "devices"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} is empty; at least one number is needed")
            for value in values:
                check_seed(name, value)
        if not all(0 < factor <= 1e6 for factor in self.light) or sorted(set(self.light)) != list(self.light):
            raise ValueError(f"light = {self.light} must be factors above 0 that rise, at most 1e6")
        if 1.0 not in self.light:
            raise ValueError(f"light = {self.light} must have 1 among its factors, the core's own light")
        if not 0 < self.kl < 100:
            raise ValueError(f"kl = {self.kl} must be above 0 and below 100 nats per token")
        models.check_text(self.calibrate_on)
        shapes_named(self.shapes)
        check_attention(self.attention)
        parsed(self.methods, self.seeds)
        steps = parsed([self.trained_method], self.seeds)[-1].steps
        if on_model := [step for step in steps if step not in ON_CORE]:
            raise ValueError(
                f"trained_method = {self.trained_method} changes the model by {on_model[0]}; of steps, trained models "
                f"take those on the core: {', '.join(ON_CORE)}"
            )
        for folder in self.trained:
            check_context(folder, "window_tokens", self.window_tokens)
