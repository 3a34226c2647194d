"""Energy per prompt token of an optical prefill engine, over its fJ/MAC and load time, against digital machines."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import models
from experiments.plotting import labels, style
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
from experiments.serving.model.transformer_cost import layer_weights
from experiments.serving.optical import PRECISION, OpticalSystem
from experiments.serving.records import OvertakingRecord
from experiments.serving.rows import precision_of

FEMTOJOULES = np.geomspace(1, 3000, 27)
LOAD_SECONDS = np.geomspace(1e-9, 1e-2, 29)
COMPARED = ("a100", "h100", "h200", "b200", "gaudi3", "rubin")
PROMPTS = 32
"""Prompts that wait, so that short ones share a pass."""


@dataclasses.dataclass(frozen=True)
class Overtaking:
    """Energy per prompt token at the wall [J].

    Attributes:
        joules: of the optical engine, by load time of a mask and fJ/MAC.
        digital: of the digital machines, by name.
        presets: fJ/MAC at the plug and load time [s] of the presets' engines, by name.
    """

    joules: np.ndarray
    digital: dict[str, float]
    presets: dict[str, tuple[float, float]]

    def record(self) -> OvertakingRecord:
        """Return the map as summary.json holds it, with the fJ/MAC below which each machine is overtaken."""
        return {
            "fj_per_mac": FEMTOJOULES.tolist(),
            "reload_s": LOAD_SECONDS.tolist(),
            "joules_per_prompt_token": self.joules.tolist(),
            "digital_joules_per_prompt_token": self.digital,
            "presets": self.presets,
            "overtakes_below_fj_per_mac": {name: self.below(name) for name in self.digital},
        }

    def below(self, name: str) -> float | None:
        """Return the fJ/MAC at which the engine with the fastest mask equals a machine; None outside the map."""
        row, level = self.joules[0], self.digital[name]
        if not row[0] < level < row[-1]:
            return None
        return float(np.exp(np.interp(np.log(level), np.log(row), np.log(FEMTOJOULES))))

    def sentence(self) -> str:
        """State where each machine is overtaken."""
        levels = {name: self.below(name) for name in self.digital}
        texts = [f"{name} below {level:.0f}" for name, level in sorted(levels.items(), key=_level) if level is not None]
        return f"In fJ per MAC on light at the plug, with masks that load in 1 ns, it overtakes {', '.join(texts)}."


def _level(item: tuple[str, float | None]) -> float:
    return item[1] or 0.0


def joules_per_token(machine: Machine, model: Model, request: Request) -> float:
    """Return the energy per prompt token of a machine that does prefill alone, idle draw included, at the wall [J]."""
    cost = prompt_cost(machine, model, request, PROMPTS)
    return (cost.joules + machine.idle_watts * cost.seconds) / request.new


def overtaking(
    config: models.DecoderConfig,
    server: OpticalSystem,
    optical: Sequence[OpticalSystem],
    systems: Sequence[DigitalSystem],
    request: Request,
) -> Overtaking:
    """Evaluate the map.

    Args:
        config: shape of the model.
        server: the server whose engine is varied.
        optical: systems whose engines are marked on the map.
        systems: digital systems to compare with; those of `COMPARED` are used.
        request: the request.
    """
    model = Model(config, precision_named(PRECISION))
    joules = [
        [
            joules_per_token(server.with_engine(config, fj * 1e-15, load_seconds).at(1), model, request)
            for fj in FEMTOJOULES
        ]
        for load_seconds in LOAD_SECONDS
    ]
    digital = {system.name: _digital(system, config, request) for system in systems if system.name in COMPARED}
    return Overtaking(np.array(joules), digital, {system.name: _engine(system, config) for system in optical})


def _digital(system: DigitalSystem, config: models.DecoderConfig, request: Request) -> float:
    """Energy per prompt token of the fewest chips that hold the model and a prompt."""
    model = Model(config, precision_named(precision_of(system)))
    return joules_per_token(machine(system.name, chips_needed(system.name, model, request)), model, request)


def _engine(system: OpticalSystem, config: models.DecoderConfig) -> tuple[float, float]:
    """(fJ/MAC at the plug, load time [s]) of a system's engine."""
    layers = system.costs(config).layers
    active, resident = layer_weights(config)
    return 1e15 * layers.token_joules / active, layers.load_seconds / (resident / system.cells)


def _in_frame(at: tuple[float, float]) -> tuple[float, float]:
    """The place of an engine, or the nearest one in the frame."""
    ends = (FEMTOJOULES[0], FEMTOJOULES[-1]), (LOAD_SECONDS[0], LOAD_SECONDS[-1])
    fj, seconds = (float(min(max(value, low), high)) for value, (low, high) in zip(at, ends, strict=True))
    return fj, seconds


def _marker(at: tuple[float, float]) -> str:
    """A dot, or an arrow towards an engine that is beyond the frame."""
    if not FEMTOJOULES[0] <= at[0] <= FEMTOJOULES[-1]:
        return "<" if at[0] < FEMTOJOULES[0] else ">"
    if not LOAD_SECONDS[0] <= at[1] <= LOAD_SECONDS[-1]:
        return "v" if at[1] < LOAD_SECONDS[0] else "^"
    return "o"


def draw(result: Overtaking, model: str, request: Request, out: Path, bill_basis: str) -> None:
    """Write serve_overtake as PNG and PDF. bill_basis: what the optical bills rest on."""
    with style.style():
        figure, axes = style.plt.subplots(figsize=(6.6, 4.8))
        levels = np.geomspace(result.joules.min(), result.joules.max(), 13)
        filled = axes.contourf(
            FEMTOJOULES, LOAD_SECONDS, result.joules, levels=levels, norm="log", cmap="YlGnBu", alpha=0.9
        )
        bar = figure.colorbar(filled, ax=axes, label="J per prompt token at the wall")
        style.plain_log(bar.ax.yaxis, (levels[0], levels[-1]))
        bar.ax.minorticks_off()
        ranked = sorted(result.digital.items(), key=lambda item: item[1])
        for number, (name, level) in enumerate(ranked):
            fj = result.below(name)
            if fj is not None:
                axes.contour(FEMTOJOULES, LOAD_SECONDS, result.joules, levels=[level], colors="#222222", linewidths=1)
                height = LOAD_SECONDS[0] * 10 ** (0.4 + 0.75 * number)
                axes.text(fj, height, name, fontsize=7.5, ha="center", bbox=style.CLEARED)
        places = {name: _in_frame(at) for name, at in result.presets.items()}
        for name, at in places.items():
            axes.plot(*at, _marker(result.presets[name]), color=style.VERMILION, ms=5, clip_on=False, zorder=4)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="fJ per MAC on light, at the plug",
            ylabel="time of one load of a mask [s]",
            xlim=(FEMTOJOULES[0], FEMTOJOULES[-1]),
            ylim=(LOAD_SECONDS[0], LOAD_SECONDS[-1]),
        )
        for name, at in places.items():
            own = zip(at, result.presets[name], ("fJ", "s"), strict=True)
            text = ", ".join([name, *(f"{value:.2g} {unit}" for shown, value, unit in own if shown != value)])
            labels.beside(axes, text, at, ("above left", "above right", "below right", "below left"), fontsize=7.5,
                          color=style.VERMILION)  # fmt: skip
        axes.set_title(f"Where optical prefill overtakes: {model}, {request.prompt} tokens", loc="left")
        style.note(
            axes,
            -0.16,
            f"Left of and below a line the optical server reads for less than that machine ({PROMPTS} prompts wait).\n"
            "Its numbers are of fewer bits: see delta NLL in results.md before comparing.\n"
            + textwrap.fill(f"Optical bills, {bill_basis}.", 100),
        )
        style.save(figure, out, "serve_overtake")
