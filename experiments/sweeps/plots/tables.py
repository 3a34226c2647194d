"""The results of a sweep as text: subject, progress and basis, and a table of the points."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.common import reporting
from experiments.common.workload import attention_in_words
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.plots import labels

DEFAULT_MODEL = "SmolLM2-135M-Instruct"

NOTHING = 1e-9
"""A relative interval below this is rounding error of equal values."""


def core(results: SweepResults) -> str:
    """Return the name of the core; empty where it has none."""
    return Path(results.definition["name"]).stem.replace("_", " ") if results.definition.get("name") else ""


def subject(results: SweepResults) -> str:
    """Return the subject in a few words, without the fields that the sweep varies."""
    on = {name: value for name, value in results.definition["on"].items() if f"on.{name}" not in results.axes}
    if on["kind"] == "text":
        model = (Path(on["model"]).stem or DEFAULT_MODEL) if "model" in on else "models"
        where = attention_in_words(on.get("attention", "digital"))
        return (f"{model} on {Path(on['text']).name}" if "text" in on else model) + where
    if on["kind"] == "product":
        size = " × ".join(str(on.get(name, name)) for name in ("rows", "columns"))
        return f"{on.get('vectors', 'several')} vectors through a {size} matrix"
    return str(on.get("name", on["kind"])).replace("_", " ")


def samples(results: SweepResults, count: int) -> str:
    """Return a number of samples in words: windows of a text, batches of a function."""
    words = {"text": "windows", "function": "batches"}
    return f"{count} {words.get(results.definition['on']['kind'], 'samples')}"


def priced(results: SweepResults) -> str:
    """Return the function that is billed where it is not the one that is run; else empty."""
    on = results.definition["on"]
    if not on.get("priced_as") or "on.priced_as" in results.axes:
        return ""
    return f"bill of {on['priced_as'].replace('_', ' ')}, prompt of {on['prompt']} tokens"


def bill_statements(results: SweepResults) -> str:
    """Return the statements of the bill of the first group of points; empty where nothing is billed."""
    bills = [results.manifest[name] for name in results.manifest if name.startswith("bill of group ")]
    if not bills:
        return ""
    several = f" (the first of {len(bills)} structures)" if any(other != bills[0] for other in bills) else ""
    return f"bill{several}, {'; '.join(bills[0])}"


def plus_minus(mean: float, half: float) -> str:
    """Return a mean and half its interval, to two digits of the latter; the mean alone if that is unknown or zero."""
    if not math.isfinite(mean):
        return "-"
    if not math.isfinite(half) or half <= NOTHING * abs(mean):
        return f"{mean:.4g}"
    largest = math.floor(math.log10(max(abs(mean), half)))
    # Beyond these limits a power of ten is easier to read than plain digits.
    power = 0 if -4 <= largest < 6 else largest
    mean, half = mean / 10.0**power, half / 10.0**power
    places = max(1 - math.floor(math.log10(half)), 0)
    text = f"{mean:.{places}f} ± {half:.{places}f}"
    return f"({text})e{power}" if power else text


def heading(results: SweepResults) -> str:
    """Return lines of subject, points, draws and progress; of metrics and sessions; and of the basis of the bills."""
    done, trials = results.progress
    on = results.definition["on"]
    windows = f", {on['windows']} windows of {on['window_tokens']} tokens" if on["kind"] == "text" else ""
    windows = f", {samples(results, on['batches'])}" if on["kind"] == "function" else windows
    keys = results.definition["keys"]
    draws = "1 draw of the noise" if keys == 1 else f"{keys} draws of the noise"
    of = f", core {core(results)}" if core(results) else ""
    first = f"{subject(results)}{windows}{of}: {results.points} points × {draws}, {done} of {trials} trials done"
    metrics = ", ".join(results.metric(name).label for name in results.metrics)
    bill = f"\n{text[:1].upper()}{text[1:]}" if (text := bill_statements(results)) else ""
    return f"{first}\n{metrics}; {_sessions(results)}{bill}"


def table(results: SweepResults, metrics: Sequence[str] | None = None, confidence: float = 0.68, most: int = 40) -> str:
    """Return a row per point: its axes, and the mean ± half the confidence interval of each metric.

    Args:
        results: the results.
        metrics: names of metrics; all unless given.
        confidence: of the intervals.
        most: largest number of rows; of more points the first and the last are shown.

    Raises:
        ValueError: if the results lack a metric. The message names the nearest.
    """
    metrics = labels.checked_metrics(results, metrics)
    estimates = {name: results.estimate(name, confidence) for name in metrics}
    axes = {name: results.axis(name).tolist() for name in results.axes}
    shown = _shown(results.points, most)
    header = [labels.with_unit(name, labels.named(results, name)[1]) for name in axes]
    rows = [[*(header or ["point"]), *(labels.with_unit(name, results.metric(name).unit) for name in metrics)]]
    for point in shown:
        values = [labels.cell(column[point]) for column in axes.values()] or [str(point)]
        rows.append([*values, *(plus_minus(e.mean[point], e.half[point]) for e in estimates.values())])
    lines = reporting.table(rows).splitlines()
    if hidden := results.points - len(shown):
        # Below the header and its rule.
        lines.insert(2 + (len(shown) + 1) // 2, f"... {hidden} more; `export` writes all")
    return "\n".join(lines)


def _shown(points: int, most: int) -> list[int]:
    """Numbers of the points shown: all, or `most` of them from both ends."""
    if points <= most:
        return list(range(points))
    return [*range((most + 1) // 2), *range(points - most // 2, points)]


def _sessions(results: SweepResults) -> str:
    where = [f"{session['began'][:10]} on {session['device']}" for session in results.sessions]
    distinct = list(dict.fromkeys(where))
    several = f"{len(where)} sessions, " if len(where) > 1 else ""
    return several + "; ".join(distinct[:3]) + ("; ..." if len(distinct) > 3 else "")


def unknown(half: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return where an interval is unknown or zero."""
    return ~np.isfinite(half) | (half <= NOTHING * np.abs(mean))
