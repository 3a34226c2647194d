"""Where an optical prefill engine overtakes digital machines: J of a prompt token over its fJ/MAC and its reloads."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import models
from experiments.plotting import style
from experiments.serving.model import (
    DigitalSystem,
    Machine,
    Model,
    Request,
    chips_needed,
    machine,
    precision_named,
    prompt_cost,
)
from experiments.serving.optical import PRECISION, OpticalSystem
from experiments.serving.rows import precision_of

FEMTOJOULES = np.geomspace(1, 3000, 27)
RELOADS = np.geomspace(1e-9, 1e-2, 29)
OPPONENTS = ("a100", "h100", "h200", "b200", "gaudi3", "rubin")
PROMPTS = 32


@dataclasses.dataclass(frozen=True)
class Overtaking:
    """J per prompt token of the optical engine [reload, fJ/MAC], of the digital machines by name, and of the engines
    that presets bill: (fJ/MAC at the plug, reload [s])."""

    joules: np.ndarray
    opponents: dict[str, float]
    presets: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """As summary.json has it, with the fJ/MAC below which each machine is overtaken where reloads cost no time."""
        return {
            "fj_per_mac": FEMTOJOULES.tolist(),
            "reload_s": RELOADS.tolist(),
            "joules_per_prompt_token": self.joules.tolist(),
            "digital_joules_per_prompt_token": self.opponents,
            "presets": self.presets,
            "overtakes_below_fj_per_mac": {name: self.below(name) for name in self.opponents},
        }

    def below(self, name: str) -> float | None:
        """fJ/MAC at which the engine with the fastest mask draws level with a machine; None if nowhere on the map."""
        row, level = self.joules[0], self.opponents[name]
        if not row[0] < level < row[-1]:
            return None
        return float(np.exp(np.interp(np.log(level), np.log(row), np.log(FEMTOJOULES))))

    def sentence(self) -> str:
        """Where each machine is overtaken."""
        levels = {name: self.below(name) for name in self.opponents}
        said = [f"{name} below {level:.0f}" for name, level in sorted(levels.items(), key=_level) if level is not None]
        return f"In fJ per MAC on light at the plug, with masks that load in 1 ns, it overtakes {', '.join(said)}."


def _level(item: tuple[str, float | None]) -> float:
    return item[1] or 0.0


def joules_per_token(reader: Machine, model: Model, request: Request) -> float:
    """J at the wall per token that is read, of a machine that does nothing else, its idle watts included."""
    cost = prompt_cost(reader, model, request, PROMPTS)
    return (cost.joules + reader.idle_watts * cost.seconds) / request.new


def overtaking(
    shape: models.LlamaConfig,
    around: OpticalSystem,
    optical: Sequence[OpticalSystem],
    systems: Sequence[DigitalSystem],
    request: Request,
) -> Overtaking:
    """The map for one request; `around` is the server whose engine is varied, `optical` are marked on the map."""
    model = Model(shape, precision_named(PRECISION))
    joules = [
        [joules_per_token(around.with_engine(shape, fj * 1e-15, reload).at(1), model, request) for fj in FEMTOJOULES]
        for reload in RELOADS
    ]
    opponents = {system.name: _digital(system, shape, request) for system in systems if system.name in OPPONENTS}
    return Overtaking(np.array(joules), opponents, {system.name: _marked(system, shape) for system in optical})


def _digital(system: DigitalSystem, shape: models.LlamaConfig, request: Request) -> float:
    """Of the fewest chips that hold the model and a prompt."""
    model = Model(shape, precision_named(precision_of(system)))
    return joules_per_token(machine(system.name, chips_needed(system.name, model, request)), model, request)


def _marked(system: OpticalSystem, shape: models.LlamaConfig) -> tuple[float, float]:
    layers, _ = system.laws(shape)
    cells = system.core.rows * system.core.columns / system.core.encoding.passes
    weights = shape.layers * Model(shape, precision_named(PRECISION)).layer_parameters
    return 1e15 * layers.token_joules / weights, layers.load_seconds / (weights / cells)


def draw(found: Overtaking, model: str, request: Request, out: Path, rests_on: str) -> None:
    """Writes serve_overtake as PNG and PDF; rests_on: what the optical bills do."""
    with style.style():
        figure, axes = style.plt.subplots(figsize=(6.6, 4.8))
        levels = np.geomspace(found.joules.min(), found.joules.max(), 13)
        filled = axes.contourf(FEMTOJOULES, RELOADS, found.joules, levels=levels, norm="log", cmap="YlGnBu", alpha=0.9)
        bar = figure.colorbar(filled, ax=axes, label="J per prompt token at the wall", format="%.2g")
        bar.ax.minorticks_off()
        ranked = sorted(found.opponents.items(), key=lambda item: item[1])
        for number, (name, level) in enumerate(ranked):
            fj = found.below(name)
            if fj is not None:
                axes.contour(FEMTOJOULES, RELOADS, found.joules, levels=[level], colors="#222222", linewidths=1)
                height = RELOADS[0] * 10 ** (0.4 + 0.75 * number)
                axes.text(fj, height, name, fontsize=7.5, ha="center", bbox=style.CLEARED)
        for name, (fj, reload) in found.presets.items():
            axes.plot(fj, reload, "o", color=style.VERMILION, ms=5)
            axes.annotate(
                name,
                (fj, reload),
                (-5, 5),
                textcoords="offset points",
                fontsize=7.5,
                ha="right",
                color=style.VERMILION,
            )
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="fJ per MAC on light, at the plug",
            ylabel="time of one load of a mask [s]",
            xlim=(FEMTOJOULES[0], FEMTOJOULES[-1]),
            ylim=(RELOADS[0], RELOADS[-1]),
        )
        axes.set_title(f"Where optical prefill overtakes: {model}, {request.prompt} tokens", loc="left")
        style.note(
            axes,
            -0.16,
            f"Left of and below a line the optical server reads for less than that machine ({PROMPTS} prompts wait).\n"
            "Its numbers are of fewer bits: see delta NLL in results.md before comparing.\n"
            + textwrap.fill(f"Optical bills, {rests_on}.", 110),
        )
        style.save(figure, out, "serve_overtake")
