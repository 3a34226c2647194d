"""Options of `otc workloads`."""

import dataclasses
from pathlib import Path

from experiments.common.options import check_folder, check_integer, check_power_of_two
from experiments.common.workload import Attention, check_attention, shapes_named
from experiments.serving.model import system_named
from experiments.serving.optical import SCENARIOS
from experiments.workloads.networks import NETWORKS, network_named


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkloadsOptions:
    """Where light pays and where not: energy of workloads on a core, beside digital machines; from shapes alone."""

    preset: str = "projected_2029"
    """Optical preset or device."""
    core: Path | None = None
    """A core of your own instead, .toml or .json."""
    cores: Path | None = None
    """A design with a core for each site instead, .toml (docs/guide/cores.md)."""
    ranges: str = "projected_2029"
    """Scenario that lends its ranges to a core or design of your own, where their values are its own."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    machines: tuple[str, ...] = ("h200", "b200", "rubin")
    """Digital systems to compare with, by their short names in `otc serve`."""
    models: tuple[str, ...] = ("llama-3.1-8b", "llama-3.1-70b")
    """Language models by name; may be empty."""
    prompts: tuple[int, ...] = (2048, 8192, 32768, 131072)
    """Tokens of the prompts that they read; may be empty."""
    batches: tuple[int, ...] = (1, 8, 32, 128, 256)
    """Sequences that they decode at once; may be empty."""
    mixtures: tuple[str, ...] = ("mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-120b", "deepseek-v3")
    """Mixtures of experts by name; may be empty."""
    mixture_batches: tuple[int, ...] = (32, 256)
    """Sequences that mixtures decode at once; may be empty."""
    context: int = 8192
    """Tokens of the prompts of mixtures, and tokens up to and including a decoded one."""
    batch: int = 8
    """Prompts at once. A load of a mask serves at most all their tokens."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Other networks; may be empty."""
    draws: int = 256
    """Draws over the ranges of the core's constants, a power of two."""
    out: Path = Path("runs/workloads")
    """Folder for summary.json and the figure."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and what is allowed."""
        check_folder("out", self.out)
        check_attention(self.attention)
        check_integer("batch", self.batch, 1)
        check_integer("context", self.context, 1)
        check_power_of_two("draws", self.draws)
        for name in ("prompts", "batches", "mixture_batches"):
            for value in getattr(self, name):
                check_integer(name, value, 1)
        if self.ranges not in SCENARIOS:
            raise ValueError(f"ranges = {self.ranges!r} must be one of {', '.join(SCENARIOS)}")
        if not self.machines:
            raise ValueError("machines must name at least one digital system")
        for name in self.machines:
            system_named(name)
        for name in self.models:
            if shapes_named(name).mixture is not None:
                raise ValueError(f"models = {name!r} is a mixture of experts: name it in mixtures")
        for name in self.mixtures:
            if shapes_named(name).mixture is None:
                raise ValueError(f"mixtures = {name!r} has no experts: name it in models")
        for name in self.networks:
            network_named(name)
