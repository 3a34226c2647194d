"""Fit of the model's utilisations, latencies and energies to published rows; calibration.toml holds the results.

Robust least squares on ln(predicted / published), in stages: speed of GPUs and their software, their power at that
speed, and one stage per maker with one or two published rows. A fitted value has a range of two rms errors of its
stage's rows either way, or the factors that the stage states where the fit leaves no residual.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from scipy.optimize import least_squares

import models
from electronics.constants import Constant
from experiments.serving.model.system import CALIBRATION
from experiments.serving.validate.comparison import Comparison, compare
from experiments.serving.validate.published import Published

YEAR = 2026


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """One number to fit, between `low` and `high`; all `targets` take its value."""

    targets: tuple[str, ...]
    unit: str
    start: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Parameters that are fitted together, the groups and systems whose rows are used, and the error to minimise."""

    parameters: tuple[Parameter, ...]
    groups: tuple[str, ...]
    systems: tuple[str, ...]
    error: Callable[[Comparison], float | None]
    source: str
    range_factors: tuple[float, float] | None = None

    def rows(self, rows: Iterable[Published]) -> list[Published]:
        """Return the rows that the stage uses: of its groups and systems, with the published value that it matches."""
        selected = [row for row in rows if row.group in self.groups and row.system in self.systems]
        return [row for row in selected if (row.watts if self.error is in_watts else row.tokens_per_s)]


def in_rate(comparison: Comparison) -> float | None:
    return comparison.in_rate


def in_watts(comparison: Comparison) -> float | None:
    return comparison.in_watts


def _share(*targets: str, start: float) -> Parameter:
    return Parameter(targets=targets, unit="1", start=start, low=0.02, high=0.98)


def _seconds(*targets: str, start: float) -> Parameter:
    return Parameter(targets=targets, unit="s", start=start, low=1e-8, high=1e-2)


def _joules(*targets: str, start: float) -> Parameter:
    return Parameter(targets=targets, unit="J", start=start, low=start / 10, high=start * 10)


GPUS = ("h100", "h200", "b200", "gb200", "gb300")
GPU_GROUPS = ("TensorRT-LLM", "ML.ENERGY", "MLPerf")
STAGES = (
    Stage(
        parameters=(
            _share("hopper.compute_utilisation", start=0.5),
            _share("hopper.weight_utilisation", start=0.7),
            _share("hopper.kv_utilisation", start=0.7),
            _share("blackwell.compute_utilisation", start=0.5),
            _share("blackwell.weight_utilisation", start=0.7),
            _share("blackwell.kv_utilisation", start=0.7),
            _seconds("tensorrt-llm.sequence_seconds", start=5e-6),
            _seconds("vllm.sequence_seconds", start=50e-6),
        ),
        groups=GPU_GROUPS,
        systems=GPUS,
        error=in_rate,
        source="tokens/s of TensorRT-LLM 1.0 (H100, B200) and ML.ENERGY (H100 8B, B200 70B)",
    ),
    Stage(
        parameters=(
            _joules("hopper.flop_joules", start=0.5e-12),
            _joules("hopper.byte_joules", start=80e-12),
            _joules("blackwell.flop_joules", start=0.5e-12),
            _joules("blackwell.byte_joules", start=80e-12),
        ),
        groups=GPU_GROUPS,
        systems=GPUS,
        error=in_watts,
        source="watts of ML.ENERGY (H100 8B, B200 70B)",
        range_factors=(1 / 1.3, 1.3),
    ),
    Stage(
        parameters=(_share("ampere.weight_utilisation", start=0.7),),
        groups=("LLM-Inference-Bench",),
        systems=("a100",),
        error=in_rate,
        source="tokens/s of LLM-Inference-Bench, A100 8B at batch 1",
        range_factors=(1 / 1.3, 1.3),
    ),
    Stage(
        parameters=(_seconds("groq.layer_seconds", start=40e-6),),
        groups=("single stream",),
        systems=("groq",),
        error=in_rate,
        source="tokens/s of Llama 3.1 8B at batch 1, Artificial Analysis",
        range_factors=(1 / 1.5, 1.5),
    ),
    Stage(
        parameters=(_seconds("cerebras.layer_seconds", start=20e-6),),
        groups=("single stream",),
        systems=("cs3",),
        error=in_rate,
        source="tokens/s of Llama 3.1 8B at batch 1, Artificial Analysis; low end: 70B at 2,314 with later software",
        range_factors=(1 / 6.3, 1.3),
    ),
    Stage(
        parameters=(
            _seconds("sambanova.layer_seconds", start=10e-6),
            _seconds("sambanova.sequence_seconds", start=50e-6),
        ),
        groups=("LLM-Inference-Bench",),
        systems=("sn40l",),
        error=in_rate,
        source="tokens/s of LLM-Inference-Bench, SN40L 8B at batch 1 and 16",
        range_factors=(1 / 1.5, 1.5),
    ),
)


def fit(
    rows: Sequence[Published], configs: Mapping[str, models.DecoderConfig], stages: Sequence[Stage] = STAGES
) -> dict[str, Constant]:
    """Fit all stages in turn to the rows that each uses; a stage without rows keeps the shipped constants."""
    constants = dict(CALIBRATION)
    for stage in stages:
        selected = stage.rows(rows)
        if selected:
            constants |= _fit_stage(stage, selected, configs, constants)
    return constants


def _fit_stage(
    stage: Stage,
    rows: Sequence[Published],
    configs: Mapping[str, models.DecoderConfig],
    constants: Mapping[str, Constant],
) -> dict[str, Constant]:
    starts = np.array([parameter.start for parameter in stage.parameters])
    low, high = (np.log([getattr(p, end) for p in stage.parameters]) - np.log(starts) for end in ("low", "high"))

    def residuals(steps: np.ndarray) -> np.ndarray:
        trial = dict(constants) | _constants(stage, starts * np.exp(steps), None)
        return np.array([stage.error(compare(row, configs, trial)) for row in rows])

    # A robust loss, since software stumbles in a few rows of a stage; the first steps stay near the start.
    best = least_squares(
        residuals, np.zeros_like(starts), bounds=(low, high), loss="soft_l1", f_scale=0.1, x_scale=0.1, diff_step=1e-3
    )
    spread = math.exp(2 * math.sqrt(np.mean(residuals(best.x) ** 2)))
    return _constants(stage, starts * np.exp(best.x), stage.range_factors or (1 / spread, spread))


def _constants(stage: Stage, values: np.ndarray, factors: tuple[float, float] | None) -> dict[str, Constant]:
    below, above = factors or (1.0, 1.0)
    constants: dict[str, Constant] = {}
    for parameter, value in zip(stage.parameters, values, strict=True):
        most = 1.0 if parameter.unit == "1" else math.inf
        for target in parameter.targets:
            constants[target] = Constant(
                name=target,
                value=float(value),
                low=float(value * below),
                high=float(min(value * above, most)),
                unit=parameter.unit,
                year=YEAR,
                mark="derived",
                source=stage.source,
            )
    return constants


def fitted(calibration: Mapping[str, Constant]) -> dict[str, Constant]:
    """Return the constants that some stage fits, sorted by name."""
    targets = {target for stage in STAGES for parameter in stage.parameters for target in parameter.targets}
    return {name: constant for name, constant in sorted(calibration.items()) if name in targets}


def as_toml(calibration: Mapping[str, Constant]) -> str:
    """Return the text of calibration.toml, values to five digits."""
    lines = ["# Written by `python -m experiments accelerators --refit`: what was fitted to published rows."]
    part = ""
    for name, constant in fitted(calibration).items():
        owner, _, field = name.partition(".")
        if owner != part:
            lines += ["", f"[{owner}]"]
            part = owner
        numbers = ", ".join(f"{end} = {getattr(constant, end):.4e}" for end in ("value", "low", "high"))
        lines.append(
            f'{field} = {{ unit = "{constant.unit}", {numbers}, year = {constant.year}, mark = "{constant.mark}", '
            f'source = "{constant.source}" }}'
        )
    return "\n".join(lines) + "\n"
