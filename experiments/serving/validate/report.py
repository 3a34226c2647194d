"""What the accelerators' page says: medians by group, fitted values, and every row."""

from collections.abc import Iterable, Mapping
from typing import Any

import models
from electronics.constants import Constant
from experiments.serving.model import CORNERS, SYSTEMS
from experiments.serving.validate.comparison import Comparison, compare, median_error
from experiments.serving.validate.published import PUBLISHED, Published

WAYS = {
    "fit": "in the fit",
    "test": "held out",
    "by_system_and_model": "each system and model held out",
    "by_rows": "every fifth row held out",
}
COMMAND = "otc accelerators --docs docs"

Found = Mapping[str, Mapping[Published, Comparison]]


def medians(found: Found) -> list[dict[str, Any]]:
    """For each group and way of holding out: rows, and median errors in tokens/s and J per token."""
    shipped = found["shipped"].values()
    ways: dict[str, list[Comparison]] = {
        use: [each for each in shipped if each.row.use == use] for use in ("fit", "test")
    } | {way: list(found[way].values()) for way in ("by_system_and_model", "by_rows") if way in found}
    groups = list(dict.fromkeys(row.group for row in PUBLISHED))
    return [
        _medians(group, way, [each for each in ways[way] if each.row.group == group])
        for group in groups
        for way in ways
    ]


def _medians(group: str, way: str, comparisons: list[Comparison]) -> dict[str, Any]:
    return {
        "group": group,
        "way": way,
        "rows": len(comparisons),
        "tokens_per_s": median_error(each.in_rate for each in comparisons),
        "j_per_token": median_error(each.in_energy for each in comparisons),
    }


def inside(row: Published, calibration: Mapping[str, Constant]) -> dict[str, bool | None]:
    """Whether the published value lies between the ends of the predicted range; None where none is published."""
    corners = [compare(row, models.CONFIGS, calibration, corner) for corner in CORNERS]

    def between(name: str) -> bool | None:
        published, values = getattr(row, name), [getattr(each, name) for each in corners]
        return None if published is None else min(values) <= published <= max(values)

    return {name: between(name) for name in ("tokens_per_s", "j_per_token")}


def share_inside(found: Mapping[Published, dict[str, bool | None]]) -> dict[str, float]:
    """Share of the held-out rows whose published value lies inside the range."""

    def share(name: str) -> float:
        stated = [each[name] for row, each in found.items() if row.use == "test" and each[name] is not None]
        return sum(stated) / len(stated)

    return {name: share(name) for name in ("tokens_per_s", "j_per_token")}


def row_summary(row: Published, found: Found, within: Mapping[Published, dict[str, bool | None]]) -> dict[str, Any]:
    """One row: what was published, what is predicted with it in or out of the fit, and what it may be used for."""
    shipped = found["shipped"][row]
    held = found.get("by_system_and_model", {}).get(row)
    words = ("group", "system", "model", "precision", "software", "chips", "copies", "prompt", "output", "use", "note")
    return {name: getattr(row, name) for name in (*words, "prompt_mark", "mark", "scope", "source")} | {
        "batch": shipped.batch,
        "batch_published": row.batch is not None,
        "tokens_per_s": row.tokens_per_s,
        "tokens_per_s_predicted": shipped.tokens_per_s,
        "tokens_per_s_held_out": held.tokens_per_s if held else None,
        "j_per_token": row.j_per_token,
        "j_per_token_predicted": shipped.j_per_token,
        "j_per_token_held_out": held.j_per_token if held else None,
        "watts": row.watts,
        "watts_predicted": shipped.watts,
        "inside_range": within[row],
    }


def median_rows(found: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Cells of the table of medians, header first."""
    header = ("median absolute error", "", "rows", "tokens/s", "J/token")
    return [header] + [
        (
            each["group"],
            WAYS[each["way"]],
            str(each["rows"]),
            _percent(each["tokens_per_s"]),
            _percent(each["j_per_token"]),
        )
        for each in found
        if each["rows"]
    ]


def page(summary: Mapping[str, Any]) -> str:
    """The whole of accelerators.md."""
    share = summary["inside_range"]
    return "\n".join(
        (
            "# Digital accelerators: predicted against published",
            "",
            f"Written by `{COMMAND}`; do not edit. {_INTRODUCTION}",
            "",
            *_markdown(median_rows(summary["medians"])),
            "",
            f"Of the held-out rows {share['tokens_per_s']:.0%} lie inside the predicted range in tokens/s, "
            f"{share['j_per_token']:.0%} in J/token.",
            "",
            "![Predicted against published](accelerators.png)",
            "",
            _CAVEATS,
            "",
            "## What was fitted",
            "",
            *_markdown(_calibration_rows(summary["calibration"])),
            "",
            "## Systems",
            "",
            "How many of each system's numbers are how sure; what is assumed comes out as a range.",
            "",
            *_markdown(_system_rows()),
            "",
            "## Every row",
            "",
            "Batch in brackets: not published, the largest that fits. Error: predicted over published, minus 1, with "
            "what ships; held out: with a fit that saw no row of this system and model. J are of the chips or at the "
            "wall, as published.",
            "",
            *_markdown(_published_rows(summary["rows"])),
            "",
        )
    )


_INTRODUCTION = """The model (`experiments.serving.model`) has nine
numbers fitted to the speed of GPUs, four to their power, and one or two for each other maker; none of them has seen
a row that it is tested on. Rows marked *fit* gave the values that ship, rows marked *test* none. Twice more the model
is fitted without the rows that it then predicts: without all rows of a system and a model, whoever published them, and
without every fifth row. Rows set *apart* are not of this model, for the reason they give, and count nowhere."""

_CAVEATS = """What to know before quoting these numbers:

* The form of the model was chosen with all rows in view; only its numbers were held out. A soft corner of the roofline
  and other latencies of a layer (1 to 40 us) fit as well.
* Input lengths of the MLPerf and ML.ENERGY rows are not published with them: 778 tokens (8B) are from memory, 300
  (Llama 2 70B) and 120 (chat) assumed. MLPerf's server rows are predicted as offline rows, without their limits.
* On the 8B model B200 at BF16 is slower at batch 128 than at 64 in ML.ENERGY's data: its software, not the chip. The
  model does not follow that and is up to 2.3 times too fast there.
* Single-stream figures of SRAM machines rest on one row each for the latency of a layer. Cerebras: that latency grows
  as the side of the square of cores that holds a layer, an assumption that one pair of rows supports; its later
  software, with speculative decoding, is five times faster and only inside the range.
* 405B at FP4 on B200 is 26 to 28 % too fast: one row, derived from a prefill rate."""


def _calibration_rows(calibration: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = [
        (name, f"{each['value']:.3g}", f"{each['low']:.3g} to {each['high']:.3g}", each["unit"], each["source"])
        for name, each in sorted(calibration.items())
    ]
    return [("", "value", "range", "unit", "from"), *rows]


def _system_rows() -> list[tuple[str, ...]]:
    marks = ("measured", "published", "vendor", "derived", "memory", "assumed")
    rows = [
        (system.title, f"`{name}`", *(str(sum(c.mark == mark for c in system.fields.values())) for mark in marks))
        for name, system in SYSTEMS.items()
    ]
    return [("system", "name", *marks), *rows]


def _published_rows(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    header = ("source", "system", "model", "in/out", "batch", "tokens/s", "predicted", "error", "held out")
    return [(*header, "J/token", "predicted", "error", "held out", "use", "note"), *map(_published_row, rows)]


def _published_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    chips = f"{row['copies']} x " * (row["copies"] > 1) + f"{row['chips']} x {row['system']} {row['precision']}"
    batch = str(row["batch"]) if row["batch_published"] else f"({row['batch']})"
    cells = [row["source"], chips, row["model"], f"{row['prompt']}/{row['output']}", batch]
    for name in ("tokens_per_s", "j_per_token"):
        published, predicted, held = (row[f"{name}{end}"] for end in ("", "_predicted", "_held_out"))
        stated = published is not None
        cells += [
            _number(published) if stated else "",
            _number(predicted) if stated or name == "tokens_per_s" else "",
            _error(predicted, published),
            _error(held, published),
        ]
    watts = f"{row['watts']:.0f} W, predicted {row['watts_predicted']:.0f}" if row["tokens_per_s"] is None else ""
    return (*cells, row["use"], "; ".join(filter(None, (row["note"], watts))))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _error(predicted: float | None, published: float | None) -> str:
    return f"{predicted / published - 1:+.0%}" if predicted is not None and published is not None else ""


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _markdown(rows: Iterable[tuple[str, ...]]) -> list[str]:
    header, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [header, "|" + "---|" * (header.count("|") - 1), *body]
