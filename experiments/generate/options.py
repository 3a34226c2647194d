"""Options of `otc generate`."""

import dataclasses
from pathlib import Path

import tyro

import models
import optics
from experiments.common.candidates import load_machine
from experiments.common.options import check_folder, check_integer, check_seed
from experiments.common.workload import Attention
from experiments.generate.machines import NamedCore
from experiments.generate.report import DIGITAL

MOST_PROMPTS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Text that a language model writes on light, beside the digital one, with agreement and energy."""

    prompt: tyro.conf.Positional[str] = ""
    """What the model continues; with --chat, what it answers."""
    prompts: Path | None = None
    """A UTF-8 file with a prompt on each line instead; their texts are written as one batch."""
    preset: str = "projected_2029"
    """Optical preset or device."""
    core: Path | None = None
    """A core of your own instead, .toml or .json."""
    cores: Path | None = None
    """A design with a core for each site instead, .toml (docs/guide/cores.md)."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    light: tuple[float, ...] = ()
    """Effective bits against the product's own rms that size the light, a text for each; without it the light that the
    core has."""
    model: Path | None = None
    """A Hugging Face folder or a GGUF file of a supported family; without it SmolLM2-135M-Instruct is fetched."""
    chat: bool = False
    """Put each prompt into the chat template of the checkpoint."""
    tokens: int = 64
    """Tokens to write, fewer where the model ends its text."""
    temperature: float = 0.0
    """Of the draw of a token; 0 takes the most likely one."""
    top_k: int | None = None
    """Draw among so many most likely tokens only."""
    top_p: float = 1.0
    """Draw among the most likely tokens that hold this share of the probability only."""
    seed: int = 0
    """Seed of noise and draw, which are the same for all cores."""
    out: Path = Path("runs/generate")
    """Folder for summary.json and the figure."""

    def check(self) -> models.Sampling:
        """Return the sampling. Raises ValueError for an option out of range, with its name and the range."""
        check_integer("tokens", self.tokens, 1)
        check_seed("seed", self.seed)
        check_folder("out", self.out)
        for bits in self.light:
            if not 1 <= bits <= 12:
                raise ValueError(f"light = {bits} must be between 1 and 12 effective bits")
        if self.light and self.cores is not None:
            raise ValueError(f"light = {self.light} and cores = {self.cores}: the light of a design stands in its file")
        if self.core_name == DIGITAL:
            raise ValueError(f"core = {self.cores or self.core}: {DIGITAL!r} is the digital text; rename the file")
        if self.prompt and self.prompts is not None:
            raise ValueError(f"prompt = {self.prompt!r} and prompts = {self.prompts}: give one of them")
        return models.Sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)

    def texts(self) -> list[str]:
        """Return the prompts, blank lines of a file left out.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not UTF-8, or holds no prompt or too many.
        """
        if self.prompts is None:
            return [self.prompt]
        try:
            lines = self.prompts.read_text(encoding="utf-8").splitlines()
        except IsADirectoryError:
            raise ValueError(
                f"prompts = {self.prompts} is a folder; a file with a prompt on each line is expected"
            ) from None
        except UnicodeDecodeError as error:
            raise ValueError(f"prompts = {self.prompts} is not UTF-8 text: {error}") from error
        found = [line for line in lines if line.strip()]
        if not 1 <= len(found) <= MOST_PROMPTS:
            raise ValueError(f"prompts = {self.prompts} holds {len(found)} prompts; 1 to {MOST_PROMPTS} are expected")
        return found

    def machines(self) -> list[NamedCore]:
        """Return the cores that write."""
        core = load_machine(self.preset, self.core, self.cores)
        if not self.light or isinstance(core, optics.CoresBySite):
            return [NamedCore(self.core_name, None, core)]
        levels = dict.fromkeys(self.light)
        return [NamedCore(f"{bits:g} bits", bits, optics.with_effective_bits(core, bits)) for bits in levels]

    @property
    def core_name(self) -> str:
        """Name of the core, for titles."""
        own = self.cores or self.core
        return self.preset if own is None else own.stem

    @property
    def model_name(self) -> str:
        """Name of the model, for titles."""
        return str(self.model or "SmolLM2-135M-Instruct")
