"""Tables of the guide: preparation and training, from the summaries of the programs."""

from experiments.adapt.compare import own_light
from experiments.adapt.methods import NONE
from experiments.adapt.records import CRITERIA, AdaptSummary, Comparison, MethodRow
from experiments.comparison.report import three
from experiments.results.pages import Rows
from experiments.training.records import Recovery, TrainSummary
from experiments.training.report import NAMES, with_error
from experiments.training.study import LIGHT
from experiments.training.study import NONE as NONE_TRAINED


def adapt(summary: AdaptSummary) -> Rows:
    """Return what preparation recovers without training, a row per method."""
    header = ["method", "KL at the core's own light", "mean drive", "photons per MAC", "kW"]
    gone = [f"gone at equal {name}" for name in ("photons", "peak power", "watts")]
    return [[*header, *gone, "kW at equal KL"], *(_adapt_row(row) for row in summary["rows"])]


def _adapt_row(row: MethodRow) -> list[str]:
    own, compared = own_light(row["points"]), row["against_unprepared"]
    plain = row["name"] == NONE
    watts = compared["watts_at_exaops"]["equal_kl"]
    return [
        _named(row),
        with_error(own["kl"], own["kl_stderr"], ".3f"),
        f"{row['mean_drive']:.3f}",
        f"{own['photons_per_mac']:,.0f}",
        three(own["watts_at_exaops"] / 1e3),
        *("" if plain else _gone(compared[criterion]) for criterion in CRITERIA),
        "beyond" if watts is None else three(watts / 1e3),
    ]


def _gone(found: Comparison) -> str:
    if found["recovered"] is None:
        return "beyond"
    error = found["recovered_stderr"]
    return f"{100 * found['recovered']:.0f} %" + ("" if error is None else f" ± {100 * error:.0f}")


def train_digits(summary: TrainSummary) -> Rows:
    """Return what training recovers, a row per light level and method."""
    header = ["photons per MAC", "method", "KL [nats/image]", "recovered", "on its own noise", "launched after"]
    return [header, *map(_digits_row, summary["recovery"])]


def _digits_row(row: Recovery) -> list[str]:
    own = row["recovered_in_training"]
    return [
        "" if row["photons"] is None else f"{row['photons']:,.0f}",
        NAMES[row["method"]],
        with_error(row["loss"], row["loss_stderr"], ".3f" if row["loss"] < 1 else ".2f"),
        "" if row["method"] == "none" else with_error(row["recovered"], row["recovered_stderr"], ".3f"),
        "" if own is None else with_error(own, row["recovered_in_training_stderr"], ".3f"),
        "" if row["launched"] is None else f"{row['launched']:,.0f}",
    ]


def train_codesign(summary: TrainSummary) -> Rows:
    """Return loss and watts, a row per starting core and method."""
    return [["start", "method", "KL [nats/image]", "kW at 1 exaOPS"], *map(_codesign_row, summary["recovery"])]


def _codesign_row(row: Recovery) -> list[str]:
    loss = _to_error(row["loss"], row["loss_stderr"])
    return [f"`{row['core']}`", NAMES[row["method"]], loss, three(row["watts"] / 1e3)]


def _to_error(value: float, error: float | None) -> str:
    """A number with its error, to the first digit of the latter."""
    if not error:
        return f"{value:.3g}"
    places = max(0, -int(f"{error:.0e}".partition("e")[2]))
    return f"{value:.{places}f} ± {error:.{places}f}"


def adapt_devices(summary: AdaptSummary) -> Rows:
    """Return what preparation recovers at equal watts on several devices, and the loss on each, a row per method."""
    devices = [f"KL (delta NLL) on device {each} alone" for each in summary["devices"]]
    rows = [["", "KL at the core's own light", "delta NLL", "kW", "gone at equal watts", *devices]]
    for row in summary["rows"]:
        own, compared = own_light(row["points"]), row["against_unprepared"]["watts_at_exaops"]
        alone = (
            f"{with_error(each['kl'], each['kl_stderr'], '.3f')} "
            f"({with_error(each['delta_nll'], each['delta_nll_stderr'], '+.3f')})"
            for each in own["by_device"]
        )
        rows.append(
            [
                _named(row),
                with_error(own["kl"], own["kl_stderr"], ".3f"),
                with_error(own["delta_nll"], own["delta_nll_stderr"], "+.3f"),
                three(own["watts_at_exaops"] / 1e3),
                "" if row["name"] == NONE else _gone(compared),
                *alone,
            ]
        )
    return rows


def adapt_trained(summary: AdaptSummary) -> Rows:
    """Return loss and watts of each method over the light levels, a row per method."""
    levels = [point["light"] for point in summary["rows"][0]["points"]]
    rows = [["KL (delta NLL) at kW", *(f"{level:g} times the core's own light" for level in levels)]]
    for row in summary["rows"]:
        cells = (
            f"{with_error(point['kl'], point['kl_stderr'], '.3f')} ({point['delta_nll']:+.3f}) at "
            f"{three(point['watts_at_exaops'] / 1e3)}"
            for point in row["points"]
        )
        rows.append([_named(row), *cells])
    return rows


def _named(row: MethodRow) -> str:
    if row["name"] == NONE:
        return "as it is"
    folder, _, steps = row["name"].partition("+")
    return f"trained (`{folder}`), `{steps}`" if row["trained"] and steps else f"`{row['name']}`"


def trained(summary: TrainSummary) -> Rows:
    """Return the compared figure of a training on data held out, by step, and on further data before and after it."""
    light = next(row for row in summary["rows"] if row["method"] == LIGHT)
    loss = {row["method"]: row for row in summary["recovery"]}
    curve = light.get("curve", [])
    ends = [with_error(loss[name]["loss"], light["draw_stderr"], ".3f") for name in (NONE_TRAINED, LIGHT)]
    header = [summary["figure"], *(f"after {step} steps" for step, _ in curve), "other windows, before", "after"]
    return [header, ["held out", *(f"{value:.3f}" for _, value in curve), *ends]]
