"""`otc ablation`: one-at-a-time and leave-one-out ablation of every nonideality of a core, on a language model."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from matplotlib.patches import Rectangle

import optics
from experiments.common import reporting
from experiments.common.candidates import check_design, load_machine
from experiments.common.text_options import TextDescription, TextOptions
from experiments.common.workload import Attention, Workload, attention_in_words
from experiments.evaluation.measure import measure
from experiments.evaluation.paired import PairedLoss
from experiments.evaluation.records import Evaluation, EvaluationCase
from experiments.plotting import style
from experiments.plotting.style import BLUE, VERMILION
from optics.analysis.ablation import ablations, groups
from optics.core.by_site import Machine, split_name

Kind = Literal["alone", "saved_by_removing"]
BARS: dict[Kind, tuple[float, str, str]] = {
    "alone": (-0.17, BLUE, "this one alone"),
    "saved_by_removing": (0.17, VERMILION, "saved by removing it"),
}
"""Offset, colour and label of each bar of the figure."""
LEAST_SHARE_DRAWN = 1e-3
"""Effects whose KL is below this share of that of all effects are left out of the figure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationOptions(TextOptions):
    """The loss of a language model on a core, imperfection by imperfection: each alone, and all but each."""

    windows: int = 2
    """Windows of the text that are scored."""
    window_tokens: int = 256
    """Tokens in a window."""
    preset: str = "projected_2029"
    """Preset or device."""
    core: Path | None = None
    """A core of your own, a .toml or .json file, instead of the preset."""
    cores: Path | None = None
    """A design with a core for each site instead, .toml (docs/guide/cores.md): each imperfection in all its cores."""
    by_core: bool = False
    """Of a design, also each imperfection of each core alone, and all of each core."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    out: Path = Path("runs/attribute")
    """Folder for summary.json, the figure, and the results from which an interrupted run goes on."""


class EffectRow(TypedDict):
    """Loss by one effect alone over fp32, and the loss saved by removing it from all effects."""

    effect: str
    alone: PairedLoss
    saved_by_removing: PairedLoss


class AblationSummary(TextDescription):
    """The content of summary.json. `everything` and `nothing` are with all effects and with none, against fp32.

    rules: of a design, which sites the cores in the names of effects are of, by name.
    """

    core: str
    attention: str
    rules: dict[str, str]
    everything: PairedLoss
    nothing: PairedLoss
    rows: list[EffectRow]
    versions: dict[str, str]


def main(options: AblationOptions) -> AblationSummary:
    """Run every ablation, print the table, write summary.json and the figure, and return the summary."""
    options.check()
    core = load_machine(options.preset, options.core, options.cores)
    checkpoint, windows = options.load()
    workload = Workload(config=checkpoint.config, context=options.window_tokens, attention=options.attention)
    check_design(core, [workload])
    if options.by_core and not isinstance(core, optics.CoresBySite):
        raise ValueError("by_core = True is of a design of several cores: give one as --cores")
    runs = ablations(core, groups(core, options.by_core))
    cases = [EvaluationCase(name="fp32", core=None, windows=options.windows)]
    cases += [
        EvaluationCase(
            name=f"{kind} {name}",
            core=ablated,
            windows=options.windows,
            attention=options.attention,
            chosen_by=core,
        )
        for kind, name, ablated in runs
    ]
    results = measure(checkpoint, windows, cases, options.seed, options.out / "results.sqlite")
    everything, exact = results["everything "], results["fp32"]
    rows: list[EffectRow] = [
        {
            "effect": name,
            "alone": _difference(results[f"alone {name}"], exact),
            "saved_by_removing": _difference(everything, results[f"without {name}"]),
        }
        for kind, name, _ in runs
        if kind == "alone"
    ]
    rows.sort(key=lambda row: -row["alone"]["kl"])
    summary: AblationSummary = {
        **options.described(),
        "core": str(options.cores or options.core or options.preset),
        "attention": options.attention,
        "rules": _rules(core),
        "everything": _difference(everything, exact),
        "nothing": _difference(results["nothing "], exact),
        "rows": rows,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _draw(summary, options.out)
    _print_report(summary, options.out)
    return summary


def _difference(result: Evaluation, other: Evaluation) -> PairedLoss:
    """Difference of two machines, paired by window."""
    nll, kl = (
        np.array([a[key] - b[key] for a, b in zip(result.windows, other.windows, strict=True)]) for key in ("nll", "kl")
    )
    return {
        "delta_nll": float(np.mean(nll)),
        "delta_nll_stderr": _stderr(nll),
        "kl": float(np.mean(kl)),
        "kl_stderr": _stderr(kl),
    }


def _stderr(values: np.ndarray) -> float | None:
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def _print_report(summary: AblationSummary, out: Path) -> None:
    everything = summary["everything"]
    print(
        f"\n{_machine(summary)}: KL {everything['kl']:.4f}, NLL {everything['delta_nll']:+.4f} "
        f"over fp32, {summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}"
    )
    header = ("", "KL alone", "KL saved by removing", "NLL alone", "NLL saved by removing")
    print(reporting.table([header, *(_cells(row, summary["rules"]) for row in summary["rows"])]))
    print(
        "Nats per token, ± standard error over windows; KL is the divergence from fp32's predictions, and steadier "
        "than NLL.\nThe noise keys are the same throughout."
    )
    print(f"Written: {out}/summary.json, attribute.png/.pdf")


def _cells(row: EffectRow, rules: Mapping[str, str]) -> tuple[str, ...]:
    differences = row["alone"], row["saved_by_removing"]
    return (
        _label(row, rules),
        *(_with_error(each["kl"], each["kl_stderr"]) for each in differences),
        *(_with_error(each["delta_nll"], each["delta_nll_stderr"]) for each in differences),
    )


def _machine(summary: AblationSummary, stem: bool = False) -> str:
    """The model, the core that it runs on, and where attention runs if that is not digital."""
    core = Path(summary["core"]).stem.replace("_", " ") if stem else summary["core"]
    attention = attention_in_words(summary["attention"])
    return f"{summary['model']} on {core}" + (attention.replace(", ", ",\n", 1) if stem else attention)


def _rules(machine: Machine) -> dict[str, str]:
    """Of each core of a design by name, the rule in words; nothing of a single core."""
    if not isinstance(machine, optics.CoresBySite):
        return {}
    labels = dict(zip(machine.names, machine.labels, strict=True))
    return {name: labels[name] for name in machine.by_name}


def _label(row: EffectRow, rules: Mapping[str, str]) -> str:
    """The effect in words, of a design with the rule of its core where it is that of one."""
    of_core, effect = split_name(row["effect"])
    words = effect.replace("_", " ")
    return f"{words or 'all'} of {rules[of_core]}" if of_core else words


def _with_error(value: float, stderr: float | None) -> str:
    return f"{value:+.4f}" + ("" if stderr is None else f" ± {stderr:.4f}")


def _draw(summary: AblationSummary, out: Path) -> None:
    least = LEAST_SHARE_DRAWN * summary["everything"]["kl"]
    rows = [row for row in summary["rows"] if row["alone"]["kl"] > least]
    with style.style():
        height = 1.4 + 0.27 * len(rows)
        figure, axes = style.plt.subplots(figsize=(6.4, height))
        for y, row in enumerate(rows):
            for kind, (offset, colour, _) in BARS.items():
                difference = row[kind]
                axes.barh(y + offset, difference["kl"], height=0.32, color=colour)
                if difference["kl_stderr"] is not None:
                    axes.errorbar(difference["kl"], y + offset, xerr=difference["kl_stderr"], color="#222222", lw=0.8)
        axes.set_yticks(range(len(rows)), [_label(row, summary["rules"]) for row in rows])
        axes.invert_yaxis()
        axes.axvline(0, color="#555555", lw=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("divergence from fp32 [nats per token]")
        axes.set_title(f"{_machine(summary, stem=True)}: {summary['everything']['kl']:.3f} nats in all")
        handles = [Rectangle((0, 0), 1, 1, color=colour) for _, colour, _ in BARS.values()]
        axes.legend(handles, [label for _, _, label in BARS.values()], loc="lower right")
        axes.text(1, -0.6 / height, _small_print(summary, rows), transform=axes.transAxes, fontsize=7, color="#555555",
                  ha="right", va="top")  # fmt: skip
        style.save(figure, out, "attribute")


def _small_print(summary: AblationSummary, drawn: Sequence[EffectRow]) -> str:
    return (
        f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}; lines: standard error over "
        f"windows; {len(summary['rows']) - len(drawn)} effects too small to show"
    )
