"""A run in words: what it is of and how far it is, and its points as a text table."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.common import reporting
from experiments.sweeps.plots import labels
from experiments.sweeps.running.results import Run
from experiments.sweeps.subjects.metrics import METRICS

DEFAULT_MODEL = "SmolLM2-135M-Instruct"

NOTHING = 1e-9
"""A relative interval that is the rounding of equal figures."""


def core(run: Run) -> str:
    """Where the sweep starts; empty where nobody gave it a name."""
    return Path(run.definition["name"]).stem.replace("_", " ") if run.definition.get("name") else ""


def subject(run: Run) -> str:
    """What was run, in a few words; what the sweep varies of it is left out."""
    on = {name: value for name, value in run.definition["on"].items() if f"on.{name}" not in run.axes}
    if on["kind"] == "text":
        model = (Path(on["model"]).stem or DEFAULT_MODEL) if "model" in on else "models"
        return f"{model} on {Path(on['text']).name}" if "text" in on else model
    size = " × ".join(str(on.get(name, name)) for name in ("rows", "columns"))
    return f"{on.get('vectors', 'several')} vectors through a {size} matrix"


def priced(run: Run) -> str:
    """What the bill is of where that is not what was run; empty where it is."""
    on = run.definition["on"]
    if not on.get("priced_as") or "on.priced_as" in run.axes:
        return ""
    return f"bill of {on['priced_as'].replace('_', ' ')}, prompt of {on['prompt']} tokens"


def rests_on(run: Run) -> str:
    """What the bills rest on, by the first group of points; empty where nothing is billed."""
    found = [run.manifest[name] for name in run.manifest if name.startswith("bill of group ")]
    if not found:
        return ""
    several = f" (the first of {len(found)} structures)" if any(other != found[0] for other in found) else ""
    return f"bill{several}, {'; '.join(found[0])}"


def plus_minus(mean: float, half: float) -> str:
    """A mean and half its interval, to two digits of the latter; the mean alone where that is unknown or nothing."""
    if not math.isfinite(mean):
        return "-"
    if not math.isfinite(half) or half <= NOTHING * abs(mean):
        return f"{mean:.4g}"
    largest = math.floor(math.log10(max(abs(mean), half)))
    # Beyond this plain digits are harder to read than a power of ten.
    power = 0 if -4 <= largest < 6 else largest
    mean, half = mean / 10.0**power, half / 10.0**power
    places = max(1 - math.floor(math.log10(half)), 0)
    text = f"{mean:.{places}f} ± {half:.{places}f}"
    return f"({text})e{power}" if power else text


def heading(run: Run) -> str:
    """Lines: what was run, at how many points, how often, how far it is; what is measured, when and where; what the
    bills rest on."""
    done, trials = run.progress
    on = run.definition["on"]
    windows = f", {on['windows']} windows of {on['window_tokens']} tokens" if on["kind"] == "text" else ""
    keys = run.definition["keys"]
    draws = "1 draw of the noise" if keys == 1 else f"{keys} draws of the noise"
    of = f", core {core(run)}" if core(run) else ""
    first = f"{subject(run)}{windows}{of}: {run.points} points × {draws}, {done} of {trials} trials done"
    metrics = ", ".join(METRICS[name].label for name in run.metrics)
    bill = f"\n{text[:1].upper()}{text[1:]}" if (text := rests_on(run)) else ""
    return f"{first}\n{metrics}; {_sessions(run)}{bill}"


def table(run: Run, metrics: Sequence[str] | None = None, confidence: float = 0.68, most: int = 40) -> str:
    """A row for each point: its axes, and of each metric the mean ± half the confidence interval.

    Of more than `most` points the first and the last are shown. Raises ValueError for a metric the run has not.
    """
    metrics = labels.checked_metrics(run, metrics)
    estimates = {name: run.estimate(name, confidence) for name in metrics}
    axes = {name: run.axis(name).tolist() for name in run.axes}
    shown = _shown(run.points, most)
    header = [labels.with_unit(name, labels.named(run, name)[1]) for name in axes]
    rows = [[*(header or ["point"]), *(labels.with_unit(name, METRICS[name].unit) for name in metrics)]]
    for point in shown:
        values = [labels.cell(column[point]) for column in axes.values()] or [str(point)]
        rows.append([*values, *(plus_minus(e.mean[point], e.half[point]) for e in estimates.values())])
    lines = reporting.table(rows).splitlines()
    if hidden := run.points - len(shown):
        # Below the header and its rule.
        lines.insert(2 + (len(shown) + 1) // 2, f"... {hidden} more; `export` writes all")
    return "\n".join(lines)


def _shown(points: int, most: int) -> list[int]:
    """Points by number: all, or `most` of them from both ends."""
    if points <= most:
        return list(range(points))
    return [*range((most + 1) // 2), *range(points - most // 2, points)]


def _sessions(run: Run) -> str:
    where = [f"{session['began'][:10]} on {session['device']}" for session in run.sessions]
    distinct = list(dict.fromkeys(where))
    several = f"{len(where)} sessions, " if len(where) > 1 else ""
    return several + "; ".join(distinct[:3]) + ("; ..." if len(distinct) > 3 else "")


def unknown(estimate_half: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Where an interval is unknown or nothing."""
    return ~np.isfinite(estimate_half) | (estimate_half <= NOTHING * np.abs(mean))
