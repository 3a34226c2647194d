"""Which imperfection of a core costs a language model how much: each alone, and all but each."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import reporting
from experiments.common.candidates import load_core
from experiments.common.measure import Evaluation, EvaluationCase, measure
from experiments.common.text_options import TextOptions
from experiments.plotting import style
from experiments.plotting.style import BLUE, VERMILION
from optics.analysis.ablation import ablations

KINDS = ("alone", "saved_by_removing")
SMALLEST_SHOWN = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute(TextOptions):
    """The loss of a language model on a core, imperfection by imperfection: each alone, and all but each."""

    windows: int = 2
    """Windows of the text that are scored."""
    window_tokens: int = 256
    """Tokens in a window."""
    preset: str = "projected_2029"
    """Preset or device."""
    core: Path | None = None
    """A core of one's own, a .toml or .json file, instead of the preset."""
    out: Path = Path("runs/attribute")
    """Folder for summary.json, the figure, and the results from which an interrupted run goes on."""


def main(options: Attribute) -> dict[str, Any]:
    """Runs every ablation, prints the table, writes summary.json and the figure, and returns the summary."""
    options.check()
    core = load_core(options.preset, options.core)
    checkpoint, windows = options.load()
    cases = [EvaluationCase(name="fp32", core=None, windows=options.windows)]
    cases += [
        EvaluationCase(name=f"{kind} {name}", core=core.replace({"effects": effects}), windows=options.windows)
        for kind, name, effects in ablations(core)
    ]
    results = measure(checkpoint, windows, cases, options.seed, options.out / "results.sqlite")
    everything, exact = results["everything "], results["fp32"]
    rows = [
        {
            "effect": name,
            "alone": _differences(results[f"alone {name}"], exact),
            "saved_by_removing": _differences(everything, results[f"without {name}"]),
        }
        for kind, name, _ in ablations(core)
        if kind == "alone"
    ]
    rows.sort(key=lambda row: -row["alone"]["kl"])
    summary = {
        **options.described(),
        "core": str(options.core or options.preset),
        "everything": _differences(everything, exact),
        "nothing": _differences(results["nothing "], exact),
        "rows": rows,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _draw(summary, options.out)
    _show(summary, options.out)
    return summary


def _differences(result: Evaluation, other: Evaluation) -> dict[str, float | None]:
    """Of two machines, paired by window: means of NLL and KL divergence, and their standard errors, None of one."""
    found: dict[str, float | None] = {}
    for name, key in (("delta_nll", "nll"), ("kl", "kl")):
        gaps = np.array([a[key] - b[key] for a, b in zip(result.windows, other.windows, strict=True)])
        found[name] = float(np.mean(gaps))
        found[f"{name}_stderr"] = float(np.std(gaps, ddof=1) / len(gaps) ** 0.5) if len(gaps) > 1 else None
    return found


def _show(summary: dict[str, Any], out: Path) -> None:
    whole = summary["everything"]
    print(
        f"\n{summary['model']} on {summary['core']}: KL {whole['kl']:.4f}, NLL {whole['delta_nll']:+.4f} over fp32, "
        f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}"
    )
    header = ("", "KL alone", "KL saved by removing", "NLL alone", "NLL saved by removing")
    cells = [
        (row["effect"].replace("_", " "), *(_with_error(row[k], n) for n in ("kl", "delta_nll") for k in KINDS))
        for row in summary["rows"]
    ]
    print(reporting.table([header, *cells]))
    print(
        "Nats a token, ± standard error over windows; KL is the divergence from fp32's predictions, and steadier than "
        "NLL.\nThe noise keys are the same throughout."
    )
    print(f"Written: {out}/summary.json, attribute.png/.pdf")


def _with_error(found: dict[str, float | None], name: str) -> str:
    stderr = found[f"{name}_stderr"]
    return f"{found[name]:+.4f}" + ("" if stderr is None else f" ± {stderr:.4f}")


def _draw(summary: dict[str, Any], out: Path) -> None:
    with style.style():
        rows = [row for row in summary["rows"] if row["alone"]["kl"] > SMALLEST_SHOWN * summary["everything"]["kl"]]
        figure, axes = style.plt.subplots(figsize=(6.4, 1.4 + 0.27 * len(rows)))
        for y, row in enumerate(rows):
            for key, shift, colour in (("alone", -0.17, BLUE), ("saved_by_removing", 0.17, VERMILION)):
                found = row[key]
                axes.barh(y + shift, found["kl"], height=0.32, color=colour)
                if found["kl_stderr"] is not None:
                    axes.errorbar(found["kl"], y + shift, xerr=found["kl_stderr"], color="#222222", lw=0.8)
        axes.set_yticks(range(len(rows)), [row["effect"].replace("_", " ") for row in rows])
        axes.invert_yaxis()
        axes.axvline(0, color="#555555", lw=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("divergence from fp32 [nats a token]")
        axes.set_title(
            f"{summary['model']} on {summary['core'].replace('_', ' ')}: {summary['everything']['kl']:.3f} nats in all"
        )
        handles = [style.plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (BLUE, VERMILION)]
        axes.legend(handles, ["this one alone", "saved by removing it"], loc="lower right")
        axes.text(
            1,
            -0.6 / (1.4 + 0.27 * len(rows)),
            f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}; "
            f"lines: standard error over windows; {len(summary['rows']) - len(rows)} effects too small to show",
            transform=axes.transAxes,
            fontsize=7,
            color="#555555",
            ha="right",
            va="top",
        )
        style.save(figure, out, "attribute")
