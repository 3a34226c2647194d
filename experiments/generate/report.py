"""Records, table and progress of `otc generate`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import models
import optics
from experiments.common import reporting
from experiments.common.workload import attention_in_words
from experiments.generate.lines import Lines
from experiments.generate.machines import Follower, Run, Text
from experiments.generate.records import CoreRecord, DigitalRecord, FollowedRecord, GenerateSummary, TextRecord

DIGITAL = "digital"


def digital_record(tokenizer: models.Tokenizer, run: Run) -> DigitalRecord:
    """Return the record of the digital texts."""
    texts = [_text_record(tokenizer, text) for text in run.digital.texts]
    return {"texts": texts, "tokens_per_second": run.digital.tokens_per_second}


def core_records(tokenizer: models.Tokenizer, run: Run) -> list[CoreRecord]:
    """Return the record of each core."""
    return [
        {
            "name": named.name,
            "effective_bits": named.effective_bits,
            "photons_per_mac": _photons(named.core),
            "texts": [_followed_record(tokenizer, run, follower, place) for place in range(len(follower.texts))],
            "agreement": _mean([agreed for each in follower.comparisons for agreed in each.agreed]),
            "kl": _mean([kl for each in follower.comparisons for kl in each.kl]),
            "tokens_per_second": follower.tokens_per_second,
            "prefill_j": price.prefill,
            "decode_j": price.decode(_steps(follower)),
        }
        for named, follower, price in zip(run.cores, run.followers, run.prices, strict=True)
    ]


def _text_record(tokenizer: models.Tokenizer, text: Text) -> TextRecord:
    return {"text": tokenizer.decode(text.tokens), "tokens": text.tokens, "stopped": text.stopped}


def _followed_record(tokenizer: models.Tokenizer, run: Run, follower: Follower, place: int) -> FollowedRecord:
    comparison = follower.comparisons[place]
    return {
        **_text_record(tokenizer, follower.texts[place]),
        "agreement": _mean(comparison.agreed),
        "first_divergence": follower.first_divergence(run.digital, place),
        "kl": comparison.kl,
    }


def _steps(follower: Follower) -> int:
    """Decode steps up to the end of the longest text, whose last token is not read."""
    return max(max(len(text.tokens) for text in follower.texts) - 1, 0)


def progress(run: Run) -> Iterator[str]:
    """Yield agreement and joules so far of each core."""
    for core, follower, price in zip(run.cores, run.followers, run.prices, strict=True):
        millijoules = 1e3 * (price.prefill + price.decode(_steps(follower)))
        agreement = _mean([agreed for each in follower.comparisons for agreed in each.agreed]) or 0.0
        yield f"{core.name} {agreement:.0%} {millijoules:.3g} mJ"


def texts_of_batch(tokenizer: models.Tokenizer, prompts: Sequence[str], run: Run) -> Iterator[str]:
    """Yield the lines of all texts, prompt by prompt."""
    writers = {DIGITAL: run.digital, **run.writers}
    for place, prompt in enumerate(prompts):
        yield f"> {prompt}"
        tokens = {name: writer.texts[place].tokens for name, writer in writers.items()}
        lines = Lines(list(writers))
        for number in range(1, 1 + max(map(len, tokens.values()))):
            yield from lines.update({name: tokenizer.decode(each[:number]) for name, each in tokens.items()})
        yield from lines.flush()


def show(summary: GenerateSummary, out: Path) -> None:
    """Print the table."""
    one = len(summary["prompts"]) == 1
    differs = "differs at" if one else "texts that differ"
    header = ("", "photons/MAC", "agreement", differs, "KL", "tokens/s", "mJ/token", "mJ")
    digital = (DIGITAL, "", "", "", "", _or_dash(summary["digital"]["tokens_per_second"], ".2g"), "", "")
    print(reporting.table([header, digital, *map(_cells, summary["cores"])]))
    meaning = "first token of the own text that does" if one else "from the digital ones"
    print(
        f"agreement: same next token after the digital text; KL from its prediction [nats];\n{differs}: {meaning}; "
        "tokens/s: of this host,\nemulating; mJ/token: of a decode step; mJ: of prompt and text"
        f"{attention_in_words(summary['attention'])}."
    )
    for phase, statements in summary["bill_rests_on"].items():
        print(f"{phase.capitalize()}: {'; '.join(statements)}.")
    if not one:
        print("Prompts are billed as they are computed, padded to the longest.")
    print(f"Written: {out}/summary.json, generate.png/.pdf")


def _cells(core: CoreRecord) -> tuple[str, ...]:
    texts = core["texts"]
    written = sum(max(len(text["tokens"]) - 1, 0) for text in texts)
    return (
        core["name"],
        _or_dash(core["photons_per_mac"], ".4g"),
        _or_dash(core["agreement"], ".1%"),
        _differs(texts),
        _or_dash(core["kl"], ".2g"),
        _or_dash(core["tokens_per_second"], ".2g"),
        _or_dash(1e3 * core["decode_j"] / written if written else None, ".4g"),
        f"{1e3 * (core['prefill_j'] + core['decode_j']):.4g}",
    )


def _differs(texts: Sequence[FollowedRecord]) -> str:
    places = [text["first_divergence"] for text in texts]
    if len(places) > 1:
        return f"{sum(place is not None for place in places)} of {len(places)}"
    return "-" if places[0] is None else str(places[0] + 1)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _photons(core: object) -> float | None:
    return float(optics.photons_per_mac(core)) if isinstance(core, optics.TensorCore) else None


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
