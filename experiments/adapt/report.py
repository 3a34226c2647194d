"""Report of the preparation on the terminal."""

from collections.abc import Callable
from pathlib import Path

from experiments.adapt.compare import own_light
from experiments.adapt.records import CRITERIA, AdaptSummary, Comparison, MethodRow
from experiments.common import reporting
from experiments.common.workload import attention_in_words

HEADER = ("at the core's own light", "KL", "delta NLL", "mean drive", "photons/MAC", "kW at 1 exaOPS")


def print_report(summary: AdaptSummary, out: Path) -> None:
    """Print losses, comparisons at equal photons, power and watts, and the sites."""
    rows = summary["rows"]
    print(
        f"\n{summary['model']} on {summary['core']}{attention_in_words(summary['attention'])}: {summary['windows']} "
        f"windows of {summary['window_tokens']} tokens of {summary['text']}, {summary['keys']} key(s), devices "
        f"{', '.join(map(str, summary['devices']))}; watts of {summary['shapes']}"
    )
    print(reporting.table([HEADER, *map(_own_cells, rows)]))
    if len(summary["devices"]) > 1:
        print("\nOn each device alone, KL and delta NLL at the core's own light:")
        print(reporting.table([("", *(f"device {each}" for each in summary["devices"])), *map(_by_device_cells, rows)]))
    print("\nShare of the KL of the model as it is that is gone, and the kW at which a method has that KL:")
    header = ("", *(f"at equal {_words(criterion)}" for criterion in CRITERIA), "kW at equal KL", _kl_words(summary))
    print(reporting.table([header, *map(_compared_cells, rows)]))
    for row in rows:
        if row["exponents"]:
            stated = ", ".join(f"{place} {a:g}" for place, a in row["exponents"].items())
            print(f"{row['name']}: exponents {stated}, of {row['tried']} tried on {summary['calibrated_on']}.")
    for row in rows:
        for what, factors in (
            ("light", row["light_by_site"]),
            ("gain before the ADCs", row["gain_by_site"]),
            ("full scale of the ADCs in rms of the product", row["loading_by_site"]),
        ):
            if factors:
                stated = ", ".join(f"{kind} {factor:.2f}" for kind, factor in factors.items())
                print(f"{row['name']}: {what} by site: {stated}.")
    for title, cell in (
        ("Mean drive, mean over largest magnitude of each vector", _drive_cell),
        ("Crest factor, largest magnitude of each vector over its rms", _crest_cell),
        ("SNR in dB", _snr_cell),
    ):
        print(f"\n{title}, medians over layers, by site:")
        sites = list(rows[0]["sites"])
        print(reporting.table([("", *sites), *(_site_cells(row, sites, cell) for row in rows)]))
    print(f"\nBill: {'; '.join(rows[0]['bill_rests_on'])}.")
    saved = (
        f", {summary['saved']} ({summary['best']}), {summary['machine']}"
        if "saved" in summary and "machine" in summary
        else ""
    )
    print(f"Written: {out}/summary.json, adapt.png/.pdf{saved}")


def _words(criterion: str) -> str:
    return {"photons_per_mac": "photons", "source_power_w": "peak power", "watts_at_exaops": "watts"}[criterion]


def _kl_words(summary: AdaptSummary) -> str:
    return f"kW at KL {summary['kl']:g}"


def _own_cells(row: MethodRow) -> tuple[str, ...]:
    own = own_light(row["points"])
    return (
        row["name"],
        _with_error(own["kl"], own["kl_stderr"], ".4f"),
        _with_error(own["delta_nll"], own["delta_nll_stderr"], "+.4f"),
        f"{row['mean_drive']:.3f}",
        f"{own['photons_per_mac']:.4g}",
        f"{own['watts_at_exaops'] / 1e3:.4g}",
    )


def _by_device_cells(row: MethodRow) -> tuple[str, ...]:
    cells = (
        f"{_with_error(each['kl'], each['kl_stderr'], '.4f')}, "
        f"{_with_error(each['delta_nll'], each['delta_nll_stderr'], '+.4f')}"
        for each in own_light(row["points"])["by_device"]
    )
    return (row["name"], *cells)


def _compared_cells(row: MethodRow) -> tuple[str, ...]:
    compared = row["against_unprepared"]
    return (
        row["name"],
        *(_recovered(compared[criterion]) for criterion in CRITERIA),
        _kilowatts(compared["watts_at_exaops"]["equal_kl"]),
        _kilowatts(row["watts_for_kl"]),
    )


def _recovered(found: Comparison) -> str:
    if found["recovered"] is None:
        return "beyond"
    error = found["recovered_stderr"]
    # Without the sign of a share that rounds to zero.
    return f"{round(found['recovered'], 2) + 0.0:.0%}" + ("" if error is None else f" ± {error:.0%}")


def _kilowatts(watts: float | None) -> str:
    return "beyond" if watts is None else f"{watts / 1e3:.4g}"


def _with_error(value: float, error: float | None, form: str) -> str:
    return format(value, form) + ("" if error is None else f" ± {error:.4f}")


def _site_cells(row: MethodRow, sites: list[str], cell: Callable[[MethodRow, str], str]) -> tuple[str, ...]:
    return (row["name"], *(cell(row, site) for site in sites))


def _drive_cell(row: MethodRow, site: str) -> str:
    return f"{row['sites'][site]['mean_drive']:.3f}" if site in row["sites"] else "-"


def _crest_cell(row: MethodRow, site: str) -> str:
    crest = row["sites"][site]["crest_factor"] if site in row["sites"] else None
    return "-" if crest is None else f"{crest:.1f}"


def _snr_cell(row: MethodRow, site: str) -> str:
    snr = row["sites"][site]["snr_db"] if site in row["sites"] else None
    return "-" if snr is None else f"{snr:.1f}"
