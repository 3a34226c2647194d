"""Records, table and progress of `otc generate`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import models
import optics
from experiments.common import reporting
from experiments.generate.machines import Run, Writer
from experiments.generate.records import CoreRecord, GenerateSummary, TextRecord

DIGITAL = "digital"


def text_record(tokenizer: models.Tokenizer, writer: Writer) -> TextRecord:
    """Return the record of a text."""
    return {
        "text": tokenizer.decode(writer.tokens),
        "tokens": writer.tokens,
        "stopped": writer.stopped,
        "tokens_per_second": writer.tokens_per_second,
    }


def core_records(tokenizer: models.Tokenizer, run: Run) -> list[CoreRecord]:
    """Return the record of each core."""
    return [
        {
            **text_record(tokenizer, follower),
            "name": named.name,
            "effective_bits": named.effective_bits,
            "photons_per_mac": _photons(named.core),
            "agreement": float(np.mean(follower.agreed)) if follower.agreed else None,
            "first_divergence": follower.first_divergence(run.digital),
            "kl": follower.kl,
            "prefill_j": price.prefill,
            "decode_j": price.decode(max(len(follower.tokens) - 1, 0)),
        }
        for named, follower, price in zip(run.cores, run.followers, run.prices, strict=True)
    ]


def progress(run: Run) -> Iterator[str]:
    """Yield agreement and joules so far of each core."""
    for core, follower, price in zip(run.cores, run.followers, run.prices, strict=True):
        millijoules = 1e3 * (price.prefill + price.decode(len(follower.tokens) - 1))
        yield f"{core.name} {np.mean(follower.agreed):.0%} {millijoules:.3g} mJ"


def show(summary: GenerateSummary, out: Path) -> None:
    """Print the table."""
    header = ("", "photons/MAC", "agreement", "differs at", "KL", "tokens/s", "mJ/token", "mJ")
    digital = (DIGITAL, "", "", "", "", _or_dash(summary["digital"]["tokens_per_second"], ".2g"), "", "")
    print(reporting.table([header, digital, *map(_cells, summary["cores"])]))
    print(
        "agreement: same next token after the digital text; KL from its prediction [nats];\n"
        "differs at: first token of the core's own text that does; tokens/s: of this host,\n"
        "emulating; mJ/token: of a decode step; mJ: of prompt and text."
    )
    for phase, statements in summary["bill_rests_on"].items():
        print(f"{phase.capitalize()}: {'; '.join(statements)}.")
    print(f"Written: {out}/summary.json, generate.png/.pdf")


def _cells(core: CoreRecord) -> tuple[str, ...]:
    place, steps = core["first_divergence"], len(core["tokens"]) - 1
    return (
        core["name"],
        _or_dash(core["photons_per_mac"], ".4g"),
        _or_dash(core["agreement"], ".1%"),
        "-" if place is None else str(place + 1),
        _or_dash(float(np.mean(core["kl"])) if core["kl"] else None, ".2g"),
        _or_dash(core["tokens_per_second"], ".2g"),
        _or_dash(1e3 * core["decode_j"] / steps if steps > 0 else None, ".4g"),
        f"{1e3 * (core['prefill_j'] + core['decode_j']):.4g}",
    )


def _photons(core: object) -> float | None:
    return float(optics.photons_per_mac(core)) if isinstance(core, optics.TensorCore) else None


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
