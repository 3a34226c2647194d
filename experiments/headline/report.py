"""Report of the headline on the terminal: tables and the verdict."""

from collections.abc import Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.candidates import mask_in_words
from experiments.common.workload import attention_in_words
from experiments.headline.records import HeadlineRow, HeadlineSummary, MeasuredRunRecord, OpticalRow, optical_rows

HEADER = (
    "",
    "perplexity",
    "delta NLL",
    "top-1",
    "KL",
    "SNR dB",
    "ENOB FS",
    "uJ/token",
    "fJ/MAC",
    "on core",
    "TOPS/W",
    "kW",
)


def print_report(summary: HeadlineSummary, out: Path) -> None:
    """Print the table, the published digital runs, the verdict, and the costs outside the bill."""
    print(
        f"\n{summary['model']} on {summary['text']}{mask_in_words(summary['mask'])}"
        f"{attention_in_words(summary['attention'])}, windows of "
        f"{summary['window_tokens']} tokens: {summary['windows']}"
    )
    print(reporting.table([HEADER, *(_cells(row) for row in summary["rows"])]))
    print(
        "SNR: against the product's own rms; ENOB FS: against the ADC's full scale; medians over sites and layers.\n"
        "fJ/MAC: all products, digital ones included; on core: those done with light alone.\n"
        "Digital rows: fp32 is priced as BF16 on an H100, W8A8 as FP8 on an H200.\n"
        f"kW: at 1 exaOPS, where the target is {summary['target']['watts'] / 1e3:g} kW, "
        f"{summary['target']['energy_per_mac_j'] * 1e15:g} fJ/MAC."
    )
    print("\nThe same cores on the prefill of Llama 3.1 70B (shapes alone, 8k prompt), and sources:")
    optical = optical_rows(summary["rows"])
    print(
        reporting.table(
            [("", "fJ/MAC", "kW at 1 exaOPS", "source mW, full drive"), *(_large_cells(row) for row in optical)]
        )
    )
    for row in optical:
        print(f"Bill of {row['name']}, here: {'; '.join(row['bill_rests_on'])}.")
        print(f"Llama 3.1 70B: {'; '.join(row['llama_3_1_70b']['bill_rests_on'])}.")
    print("\nPublished runs of digital machines:")
    print(reporting.table([("", "model", "scenario", "J/token", "covers"), *map(_run_cells, summary["measured_runs"])]))
    print("\nVerdict: " + " ".join(_verdicts(optical, summary["target"]["watts"])))
    print("\nNot in the bill: " + "; ".join(summary["omitted_from_bill"]) + ".")
    counts = ", ".join(f"{name} {len(constants)}" for name, constants in summary["assumptions"].items())
    print(f"Assumed constants (listed in summary.json): {counts or 'none'}.")
    print(f"Written: {out}/summary.json, perplexity_energy.png/.pdf, waterfall.png/.pdf")


def _cells(row: HeadlineRow) -> tuple[str, ...]:
    stderr = row["delta_nll_stderr"]
    return (
        row["name"],
        f"{row['perplexity']:.4f}",
        f"{row['delta_nll']:+.4f}" + ("" if stderr is None else f" ± {stderr:.4f}"),
        f"{row['top1_agreement']:.4f}",
        f"{row['kl']:.4f}",
        _or_dash(row.get("snr_db"), ".1f"),
        _or_dash(row.get("enob_full_scale"), ".1f"),
        f"{row['energy_per_token_j'] * 1e6:.3g}",
        f"{row['energy_per_mac_j'] * 1e15:.4g}",
        f"{row['energy_per_mac_on_core_j'] * 1e15:.4g}" if row["optical"] is True else "-",
        f"{row['tops_per_watt']:.3g}",
        f"{row['watts_at_exaops'] / 1e3:.4g}",
    )


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _large_cells(row: OpticalRow) -> tuple[str, ...]:
    large = row["llama_3_1_70b"]
    return (
        row["name"],
        f"{large['energy_per_mac_j'] * 1e15:.4g}",
        f"{large['watts_at_exaops'] / 1e3:.4g}",
        f"{row['source_power_w'] * 1e3:.3g}",
    )


def _run_cells(run: MeasuredRunRecord) -> tuple[str, ...]:
    return (
        f"{run['system']} {run['precision']}",
        run["model"],
        run["scenario"],
        f"{run['j_per_output_token']:.4g}",
        run["scope"],
    )


def _verdicts(rows: Sequence[OpticalRow], target: float) -> list[str]:
    """One sentence per preset, against `target` watts at 1 exaOPS."""
    sentences = []
    for row in rows:
        watts, large = row["watts_at_exaops"], row["llama_3_1_70b"]["watts_at_exaops"]
        largest = max(row["components"].items(), key=lambda item: item[1])[0]
        sentences.append(
            f"{row['name']} {'meets' if large <= target else 'misses'} the target on Llama 70B shapes by a factor of "
            f"{max(large / target, target / large):.2g} and {'meets' if watts <= target else 'misses'} it on this "
            f"model by {max(watts / target, target / watts):.2g}, at a loss of {row['delta_nll']:.3g} nats per token; "
            f"its largest cost here is {largest}."
        )
    return sentences or ["no optical preset was run."]
