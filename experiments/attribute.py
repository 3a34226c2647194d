"""Which imperfection of a core costs a language model how much: each alone, and all but each."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

import optics
from experiments import plotting, reporting
from experiments.ledger import Ledger
from experiments.measure import Case, Result, measure
from experiments.on_text import OnText
from experiments.plotting import BLUE, VERMILION
from optics.attribution import ablations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute(OnText):
    """The loss of a language model on a core, imperfection by imperfection: each alone, and all but each."""

    windows: int = 2
    """Windows of the text that are scored."""
    window_tokens: int = 128
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
    core = optics.preset(options.preset) if options.core is None else optics.config.load(options.core)
    checkpoint, windows = options.load()
    cases = [Case(name="fp32", core=None, windows=options.windows)]
    cases += [
        Case(name=f"{kind} {name}", core=core.replace({"effects": effects}), windows=options.windows)
        for kind, name, effects in ablations(core)
    ]
    ledger = Ledger(options.out / "results.sqlite")
    results = measure(checkpoint, windows, cases, options.seed, ledger)
    ledger.close()
    exact = _nll(results["fp32"])
    lost = {name: _lost(_nll(result) - exact) for name, result in results.items()}
    everything = _nll(results["everything "])
    rows = [
        {
            "effect": name,
            "alone": lost[f"alone {name}"],
            "saved_by_removing": _lost(everything - _nll(results[f"without {name}"])),
        }
        for kind, name, _ in ablations(core)
        if kind == "alone"
    ]
    rows.sort(key=lambda row: -row["alone"]["delta_nll"])
    summary = {
        **options.described(),
        "core": str(options.core or options.preset),
        "everything": lost["everything "],
        "nothing": lost["nothing "],
        "rows": rows,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _draw(summary, options.out)
    _show(summary, options.out)
    return summary


def _nll(result: Result) -> np.ndarray:
    return np.array([window["nll"] for window in result.windows])


def _lost(difference: np.ndarray) -> dict[str, float | None]:
    """Mean over windows, paired, and its standard error; None of one window."""
    count = len(difference)
    stderr = float(np.std(difference, ddof=1) / count**0.5) if count > 1 else None
    return {"delta_nll": float(np.mean(difference)), "stderr": stderr}


def _show(summary: dict[str, Any], out: Path) -> None:
    print(
        f"\n{summary['model']} on {summary['core']}: {summary['everything']['delta_nll']:+.4f} nats a token over fp32, "
        f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}"
    )
    cells = [
        (row["effect"].replace("_", " "), _with_error(row["alone"]), _with_error(row["saved_by_removing"]))
        for row in summary["rows"]
    ]
    print(reporting.table([("", "alone", "saved by removing"), *cells]))
    print("Nats a token, ± standard error over windows. The noise keys are the same throughout.")
    print(f"Written: {out}/summary.json, attribute.png/.pdf")


def _with_error(lost: dict[str, float | None]) -> str:
    return f"{lost['delta_nll']:+.4f}" + ("" if lost["stderr"] is None else f" ± {lost['stderr']:.4f}")


def _draw(summary: dict[str, Any], out: Path) -> None:
    with plotting.style():
        rows = [row for row in summary["rows"] if any(row[k]["delta_nll"] for k in ("alone", "saved_by_removing"))]
        figure, axes = plotting.plt.subplots(figsize=(6.4, 1.4 + 0.27 * len(rows)))
        for y, row in enumerate(rows):
            for key, shift, colour in (("alone", -0.17, BLUE), ("saved_by_removing", 0.17, VERMILION)):
                found = row[key]
                axes.barh(y + shift, found["delta_nll"], height=0.32, color=colour)
                if found["stderr"] is not None:
                    axes.errorbar(found["delta_nll"], y + shift, xerr=found["stderr"], color="#222222", lw=0.8)
        axes.set_yticks(range(len(rows)), [row["effect"].replace("_", " ") for row in rows])
        axes.invert_yaxis()
        axes.axvline(0, color="#555555", lw=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("loss over fp32 [nats a token]")
        axes.set_title(
            f"{summary['model']} on {summary['core'].replace('_', ' ')}: "
            f"{summary['everything']['delta_nll']:+.3f} in all"
        )
        handles = [plotting.plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (BLUE, VERMILION)]
        axes.legend(handles, ["this one alone", "saved by removing it"], loc="lower right")
        axes.text(
            1,
            -0.6 / (1.4 + 0.27 * len(rows)),
            f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}; "
            "bars: standard error over windows",
            transform=axes.transAxes,
            fontsize=7,
            color="#555555",
            ha="right",
            va="top",
        )
        plotting.save(figure, out, "attribute")
