"""The verdict in words and numbers: every sentence is made from what was computed."""

from pathlib import Path
from typing import Any

from experiments.common import reporting
from experiments.plotting import waterfall
from optics import EXAOPS

DECIDING = 3


def show(summary: dict[str, Any], out: Path) -> None:
    """Prints the tables, the verdict, the assumptions that decide it, and what the bill leaves out."""
    scenarios = summary["scenarios"]
    print(
        f"\n{summary['shapes']}, {summary['workload']}, at 1 exaOPS; {summary['model']} on {summary['text']}, "
        f"{summary['windows']} x {summary['window_tokens']} tokens, {summary['keys']} draws of the noise"
    )
    print(reporting.table([_HEADER, *(_cells(name, found) for name, found in scenarios.items())]))
    w8a8 = summary["digital"]["digital_w8a8"]
    print(
        f"kW: nominal, and 5 to 95 % over the ranges of all constants, {summary['draws']} draws; closes: share of them "
        f"at or under {summary['target']['watts'] / 1e3:g} kW; parts: the same with the design's choices held.\n"
        f"Digital W8A8 loses {_with_error(w8a8)} (KL {w8a8['kl']:.4f})."
    )
    for name, found in scenarios.items():
        print(f"Bill of {name}: {'; '.join(found['bill_rests_on'])}.")
    print("\nThe machine around the cores:")
    print(reporting.table([_MACHINE, *(_machine_cells(name, found["system"]) for name, found in scenarios.items())]))
    print("\nWeights stay for so many vectors: fJ/MAC of fetching, writing and waiting; share of the time at work; kW")
    print(reporting.table(_reload_rows(scenarios)))
    for name, found in scenarios.items():
        print(f"\nWhat decides {name}, Sobol total index of ln(watts), and kW at the ends of its range alone:")
        print(reporting.table([("", "S_T", "kW low", "kW high", "nominal (range)", "known how"), *_deciding(found)]))
    print(
        "\nThe published budget of such a machine, at its own mean drive of 0.2, fJ/MAC, and what its omitted costs "
        "add, one upon the other:"
    )
    print(reporting.table(_budget_rows(summary["published_budget"])))
    if summary["map"]:
        _show_map(summary)
    print("\nVerdict: " + " ".join(sentences(summary)))
    first = next(iter(scenarios.values()))
    print("\nNot in the bill: " + "; ".join(first["omitted"]) + ".")
    counts = ", ".join(f"{name} {len(found['assumptions'])}" for name, found in scenarios.items())
    print(f"Assumed constants (listed in summary.json): {counts}.")
    drawn = ["waterfall", "tornado", *(["map", "pareto"] if summary["map"] else [])]
    print(f"Written: {out}/summary.json, " + ", ".join(f"{name}.png/.pdf" for name in drawn))


_HEADER = (
    "",
    "kW",
    "5 to 95 %",
    "closes",
    "parts",
    "fJ/MAC",
    "on core",
    "delta NLL",
    "KL",
    "mW/source",
)
_MACHINE = ("", "rows", "GHz", "ENOB", "cores", "at work", "weights held", "passes", "lasers", "ADCs", "tiles loaded/s")


def _cells(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    watts = found["watts_at_exaops"]
    return (
        name,
        f"{_kw(watts['nominal'])}",
        f"{_kw(watts['p05'])} to {_kw(watts['p95'])}",
        _percent(found["probability_of_closing"]),
        _percent(found["probability_of_closing_choices_held"]),
        f"{found['fj_per_mac']:.3g}",
        f"{found['fj_per_mac_on_core']:.3g}",
        _with_error(found),
        f"{found['kl']:.4f}",
        f"{found['system']['source_power_w'] * 1e3:.3g}",
    )


def _machine_cells(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{found['rows']}",
        f"{found['clock_hz'] / 1e9:g}",
        f"{found['adc_enob']:g}",
        f"{found['cores']:.0f}",
        _percent(found["utilisation"]),
        f"{found['resident_weights']:.3g}",
        f"{found['passes']:.3g}",
        f"{found['sources']:.3g}",
        f"{found['converters']:.3g}",
        f"{found['tile_loads_per_second']:.3g}",
    )


def _reload_rows(scenarios: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = [("vectors", *scenarios)]
    for cells in zip(*(found["reload"] for found in scenarios.values()), strict=True):
        rows.append(
            (
                f"{cells[0]['vectors_per_load']:g}",
                *(
                    f"{c['fj_per_mac']:.3g}; {_percent(c['utilisation'])}; {c['watts_at_exaops'] / 1e3:.3g}"
                    for c in cells
                ),
            )
        )
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _with_error(found: dict[str, Any]) -> str:
    error = found["delta_nll_stderr"]
    return f"{found['delta_nll']:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def _deciding(found: dict[str, Any], count: int = 6) -> list[tuple[str, ...]]:
    rows = []
    for field, index in list(found["sobol"].items())[:count]:
        swing = found["tornado"][field]
        known = found["constants"][field]
        unit = "" if known["unit"] == "1" else f" {known['unit']}"
        span = f"{known['value']:.3g} ({known['low']:.3g} to {known['high']:.3g}){unit}"
        ends = _kw(swing["low"]), _kw(swing["high"])
        rows.append((field, f"{index['total']:.2f}", *ends, span, known["mark"]))
    return rows


def _budget_rows(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    steps = list(found[0]["steps"])
    rows = [("", "published", steps[0], "ratio", *(f"+ {name}" for name in steps[1:]))]
    for row in found:
        values = row["steps"]
        rows.append(
            (
                f"{row['scenario']} {row['rows']}, {row['bits']:g} b of {row['against']}",
                f"{row['fj_per_mac']:g}",
                f"{values[steps[0]]:.3g}",
                f"{row['ratio']:.3f}",
                *(f"{values[name]:.3g}" for name in steps[1:]),
            )
        )
    return rows


def _show_map(summary: dict[str, Any]) -> None:
    found = summary["map"]
    error = "" if found["nll_per_kl_stderr"] is None else f" ± {found['nll_per_kl_stderr']:.2f}"
    print(
        f"\nMap of {found['scenario']}: delta NLL is {found['nll_per_kl_fitted']:.2f}{error} of KL over "
        f"{len(found['points'])} cores of {found['windows']} windows; so W8A8 loses "
        f"{found['w8a8_delta_nll_from_kl']:.3f}."
    )
    rows = [("cheapest core within", "rows", "light b", "ENOB", "GHz", "kW", "on core", "predicted", "measured")]
    for entry in found["cheapest"]:
        name = f"{entry['most']:.3f} (over {entry['over']}), imperfections {entry['imperfections']}"
        core = entry["core"]
        if core is None:
            rows.append((name, *["none"] * 8))
            continue
        rows.append(
            (
                name,
                f"{core['size']}",
                f"{core['light_bits']:.2f}",
                f"{core['enob']:.2f}",
                f"{core['clock_hz'] / 1e9:.2g}",
                f"{core['watts'] / 1e3:.3g}",
                f"{core['watts_on_core'] / 1e3:.3g}",
                f"{core['delta_nll']:.3f}",
                _with_error(core["measured"]),
            )
        )
    print(reporting.table(rows))


def sentences(summary: dict[str, Any]) -> list[str]:
    """The verdict on each scenario, then on accuracy, then on the descent."""
    found = [_on_scenario(name, each, summary["target"]["watts"]) for name, each in summary["scenarios"].items()]
    found += [
        _on_reference(name, summary["scenarios"][name], each) for name, each in summary["full_scale_light"].items()
    ]
    if summary["map"]:
        found += _on_accuracy(summary)
    if summary["descent"]:
        found.append(_on_descent(summary["descent"]))
    return found


def _on_scenario(name: str, found: dict[str, Any], target: float) -> str:
    watts = found["watts_at_exaops"]
    closes = watts["nominal"] <= target
    ratio = max(watts["nominal"] / target, target / watts["nominal"])
    largest = sorted(found["components"], key=lambda line: -found["components"][line]["nominal"])[:DECIDING]
    largest = [waterfall.LABELS.get(line, line) for line in largest]
    core_alone = found["fj_per_mac_on_core"] * 1e-15 * EXAOPS / 2
    alone = "would close" if core_alone <= target else "would not close either"
    text = (
        f"{name} draws {_kw(watts['nominal'])} kW (5 to 95 %: {_kw(watts['p05'])} to "
        f"{_kw(watts['p95'])}), {'under' if closes else 'over'} the target by a factor of {ratio:.2g}, and closes "
        f"in {_percent(found['probability_of_closing'])} of the draws, at a loss of {_with_error(found)} nats a token; "
        f"its largest costs are {', '.join(largest)}; the products on light alone ({core_alone / 1e3:.3g} kW) {alone}."
    )
    if not closes:
        text += " " + _what_would_close(found)
    return text


def _on_reference(name: str, found: dict[str, Any], dim: dict[str, Any]) -> str:
    return (
        f"Light of {dim['bits']:g} bits against a detector's full scale, as most papers count, would bring {name} to "
        f"{_kw(dim['watts_at_exaops'])} kW, and its loss from {found['kl']:.3g} to {dim['kl']:.3g} nats of KL."
    )


def _kw(watts: float) -> str:
    """Kilowatts to three digits, without an exponent."""
    return f"{watts / 1e3:,.0f}" if watts >= 1e6 else f"{watts / 1e3:.3g}"


def _what_would_close(found: dict[str, Any]) -> str:
    alone = found["break_even"]
    if not alone:
        return "No single constant, moved to the end of its range, closes it."
    listed = ", ".join(f"{field} at {value:.3g}" for field, value in list(alone.items())[:DECIDING])
    return f"Alone would close it: {listed}."


def _on_accuracy(summary: dict[str, Any]) -> list[str]:
    found, texts = summary["map"], []
    for entry in found["cheapest"]:
        if entry["over"] != "W8A8":
            continue
        core, how = entry["core"], entry["imperfections"]
        level = f"{summary['accepted_loss']:g} nats of 8-bit digital, with its imperfections {how}"
        if core is None:
            least = found["least_loss"][how]
            texts.append(
                f"No core of {found['scenario']} on the map comes within {level}: the best loses "
                f"{least['delta_nll_from_kl']:.3f} at {least['watts'] / 1e3:.3g} kW, where "
                f"{entry['most']:.3f} is asked."
            )
        else:
            texts.append(
                f"The cheapest core of {found['scenario']} within {level} draws {core['watts'] / 1e3:.3g} kW "
                f"({core['size']} rows, {core['light_bits']:.2g} bits of light, {core['enob']:.2g} ENOB, "
                f"{core['clock_hz'] / 1e9:.2g} GHz); measured, it loses {_with_error(core['measured'])}."
            )
    return texts


def _on_descent(found: dict[str, Any]) -> str:
    best, start = found["best"], found["path"][0]
    text = (
        f"Descended in {found['evaluations']} evaluations ({found['loss_scale']:g} nats count as a factor e of watts): "
        f"{best['clock'] / 1e9:.2g} GHz, {best['light_bits']:.2g} bits of light, {best['enob']:.2g} ENOB, "
        f"{best['watts'] / 1e3:.3g} kW at KL {best['on_fresh_noise']['kl']:.3f}; figure of merit "
        f"{best['merit']:.3f} from {start['merit']:.3f}"
    )
    if "grid" not in found:
        return text + "."
    top = found["grid"]["best"]
    return text + (
        f", against {top['merit']:.3f} for the best of {found['grid']['evaluations']} on a grid; on fresh noise "
        f"{best['on_fresh_noise']['merit']:.3f} ± {best['on_fresh_noise']['merit_stderr']:.3f} against "
        f"{top['on_fresh_noise']['merit']:.3f} ± {top['on_fresh_noise']['merit_stderr']:.3f}."
    )
