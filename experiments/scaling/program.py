"""`otc scaling`: whether the loss of tiny models on light tells that of a larger one.

Language models of several sizes are trained here, each to the same loss on text held out. Each runs on the core with
all imperfections at several light levels, as does a larger model that others trained. Laws in the size are fitted to
the tiny models alone and tested on the larger one. Where the law chosen beforehand fails, no extrapolation is offered.
"""

from collections.abc import Iterator

import models
from experiments.common import reporting
from experiments.common.candidates import load_core
from experiments.common.result_cache import ResultCache
from experiments.common.text_options import load_model
from experiments.scaling import figure, laws, report
from experiments.scaling.family import parsed
from experiments.scaling.options import ScalingOptions
from experiments.scaling.records import ModelRow, ScalingSummary
from experiments.scaling.rows import Measured, row_of
from experiments.scaling.training import Trainer

CACHE = "results.sqlite"


def main(options: ScalingOptions) -> ScalingSummary:
    """Train and measure, print the tables, write summary.json and the figure, return the summary."""
    options.check()
    core = load_core(options.preset, options.core)
    rows: list[ModelRow] = [
        row_of(model, core, options.photons, options.seed, options.out / CACHE) for model in _models(options)
    ]
    found = laws.fits(rows, options.reference)
    offered = laws.extrapolated(rows, options.reference, options.shapes)
    summary: ScalingSummary = {
        **options.described(),
        "core": str(options.core or options.preset),
        "trained_on": options.train_on,
        "target_loss": options.target_loss,
        "photons": list(options.photons),
        "reference": options.reference,
        "rows": rows,
        "seed_spread": laws.seed_spread(rows, options.reference),
        "fits": found,
        "statement": laws.statement(rows, found, offered, options.reference, options.shapes),
        "extrapolations": offered,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary


def _models(options: ScalingOptions) -> Iterator[Measured]:
    """The models one after the other, tiny ones first, as one that is large need not be in memory with others."""
    text = models.load_text(options.text)
    cache = ResultCache(options.out / CACHE, Trainer.__module__)
    trainer = Trainer(options.train_on, options.target_loss, options.most_steps, options.out / "models", cache)
    for size in map(parsed, options.sizes):
        for seed in options.seeds:
            checkpoint, training = trainer.trained(size, seed)
            windows = models.windows(checkpoint.tokenizer.encode(text), options.tiny_windows, options.window_tokens)
            name = f"{size}, seed {seed}" if len(options.seeds) > 1 else str(size)
            yield Measured(name, "tiny", checkpoint, windows, seed, training)
    cache.close()
    for number, path in enumerate((options.model, *options.models)):
        checkpoint = load_model(path, options.stream)
        windows = models.windows(checkpoint.tokenizer.encode(text), options.windows, options.window_tokens)
        name = options.model_name if path is None else path.name
        yield Measured(name, "other" if number else "tested", checkpoint, windows)
