"""The verdict in sentences, made from the computed numbers, and the numbers of the report as text."""

from collections.abc import Mapping

from experiments.common.reporting import kilowatts
from experiments.evaluation.paired import PairedLoss
from experiments.plotting import waterfall
from experiments.target.records import (
    AccuracyMap,
    Descent,
    FullScaleLight,
    InterpolatedCore,
    ScenarioVerdict,
    TargetSummary,
)
from optics import EXAOPS

DECIDING = 3


def sentences(summary: TargetSummary) -> list[str]:
    """The verdict on each scenario, then on accuracy, then on the descent."""
    scenarios = summary["scenarios"]
    verdicts = [_on_scenario(name, scenario, summary["target"]["watts"]) for name, scenario in scenarios.items()]
    verdicts += [_on_full_scale_light(name, scenarios[name], dim) for name, dim in summary["full_scale_light"].items()]
    if summary["map"] is not None:
        verdicts += _on_accuracy(summary["map"], summary["accepted_loss"])
    if summary["descent"] is not None:
        verdicts.append(_on_descent(summary["descent"]))
    return verdicts


def _on_scenario(name: str, scenario: ScenarioVerdict, target: float) -> str:
    watts = scenario["watts_at_exaops"]
    closes = watts["nominal"] <= target
    ratio = max(watts["nominal"] / target, target / watts["nominal"])
    components = scenario["components"]
    largest = sorted(components, key=lambda name: -components[name]["nominal"])[:DECIDING]
    labels = [waterfall.LABELS.get(name, name) for name in largest]
    core_alone = scenario["fj_per_mac_on_core"] * 1e-15 * EXAOPS / 2
    alone = "would close" if core_alone <= target else "would not close either"
    text = (
        f"{name} draws {kilowatts(watts['nominal'])} kW (5 to 95 %: {kilowatts(watts['p05'])} to "
        f"{kilowatts(watts['p95'])}), {'under' if closes else 'over'} the target by a factor of {ratio:.2g}, and "
        f"closes in {percent(scenario['probability_of_closing'])} of the draws, at a loss of {with_error(scenario)} "
        f"nats per token; its largest costs are {', '.join(labels)}; the products on light alone "
        f"({core_alone / 1e3:.3g} kW) {alone}."
    )
    if not closes:
        text += " " + _what_would_close(scenario["break_even"])
    return text


def _on_full_scale_light(name: str, scenario: ScenarioVerdict, dim: FullScaleLight) -> str:
    return (
        f"Light of {dim['bits']:g} bits against a detector's full scale, as most papers count, would bring {name} to "
        f"{kilowatts(dim['watts_at_exaops'])} kW, and its loss from {scenario['kl']:.3g} to {dim['kl']:.3g} nats of KL."
    )


def _what_would_close(break_even: Mapping[str, float]) -> str:
    if not break_even:
        return "No single constant, moved to the end of its range, closes it."
    listed = ", ".join(f"{field} at {value:.3g}" for field, value in list(break_even.items())[:DECIDING])
    return f"Alone would close it: {listed}."


def _on_accuracy(accuracy: AccuracyMap, accepted_loss: float) -> list[str]:
    texts = []
    for entry in accuracy["cheapest"]:
        if entry["over"] != "W8A8":
            continue
        core, how = entry["core"], entry["imperfections"]
        level = f"{accepted_loss:g} nats of 8-bit digital, with its imperfections {how}"
        if core is None:
            least = accuracy["least_loss"][how]
            texts.append(
                f"No core of {accuracy['scenario']} on the map comes within {level}: the best loses "
                f"{least['delta_nll_from_kl']:.3f} at {least['watts'] / 1e3:.3g} kW, where "
                f"{entry['most']:.3f} is required."
            )
        else:
            texts.append(
                f"The cheapest core of {accuracy['scenario']} within {level} draws {core['watts'] / 1e3:.3g} kW "
                f"({core['size']} rows, {core['light_bits']:.2g} bits of light, {core['enob']:.2g} ENOB, "
                f"{core['clock_hz'] / 1e9:.2g} GHz); measured, it loses {measured(core)}."
            )
    return texts


def _on_descent(descent: Descent) -> str:
    best, start = descent["best"], descent["path"][0]
    text = (
        f"Descended in {descent['evaluations']} evaluations ({descent['loss_scale']:g} nats count as a factor e of "
        f"watts): {best['clock'] / 1e9:.2g} GHz, {best['light_bits']:.2g} bits of light, {best['enob']:.2g} ENOB, "
        f"{best['watts'] / 1e3:.3g} kW at KL {best['on_fresh_noise']['kl']:.3f}; figure of merit "
        f"{best['merit']:.3f} from {start['merit']:.3f}"
    )
    if "grid" not in descent:
        return text + "."
    top = descent["grid"]["best"]
    return text + (
        f", against {top['merit']:.3f} for the best of {descent['grid']['evaluations']} on a grid; on fresh noise "
        f"{best['on_fresh_noise']['merit']:.3f} ± {best['on_fresh_noise']['merit_stderr']:.3f} against "
        f"{top['on_fresh_noise']['merit']:.3f} ± {top['on_fresh_noise']['merit_stderr']:.3f}."
    )


def percent(share: float) -> str:
    """A share as a percentage to one digit."""
    return f"{100 * share:.1f} %"


def with_error(loss: PairedLoss) -> str:
    """The loss in nats, with its standard error where there is one."""
    error = loss["delta_nll_stderr"]
    return f"{loss['delta_nll']:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def measured(core: InterpolatedCore) -> str:
    """The loss as measured, for a core that was run."""
    return with_error(core["measured"]) if "measured" in core else "not measured"
