"""`otc train`: trains a network under the noise of a core, and states what that recovers."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import models
import optics
from experiments.common import reporting
from experiments.common.options import check_folder
from experiments.training import report, task, toml_file
from experiments.training.method.trainable import Trainable
from experiments.training.records import TrainSummary
from experiments.training.run.options import Options
from experiments.training.study import LIGHT, Outcome, Study, recovery, run
from experiments.training.text import TrainedText

MOST_NAMED = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Trains a network under the noise of a core; the same command goes on with an interrupted run."""

    file: Annotated[str, tyro.conf.Positional] = ""
    """A study, .toml (docs/guide/train.md), which states all else; or MODULE:NAME of a training.Task; without it a
    language model."""
    model: Path | None = None
    """A Hugging Face folder or a GGUF file of a supported family; without it SmolLM2-135M-Instruct is fetched."""
    text: str = "owt_5"
    """Text to train on: owt_5, wikipedia_5, or the path of a UTF-8 file."""
    held_out_text: str = "wikipedia_5"
    """Text that the best state is chosen by, in its first half, and the table is of, in its second."""
    windows: int = 512
    """Windows of the text."""
    held_out_windows: int = 8
    """Windows of the text held out, half of them for the table."""
    held_out_after: int = 0
    """Windows of the text held out that come before those, and are not used."""
    window_tokens: int = 128
    """Tokens in a window."""
    temperature: float = 1.0
    """Of the distillation from the digital model."""
    core: str = "projected_2029"
    """Name of a preset or device, or the file of a core or of a design with a core for each site."""
    photons_per_mac: float | None = None
    """Photons per MAC that the sources launch, in place of the light of the core."""
    train: Literal["all", "lora", "norms"] = "lora"
    """What is trained: all parameters, low-rank additions to the matrices on the mask, or norms and biases alone."""
    rank: int = 8
    """Rank of the additions."""
    alpha: float = 16.0
    """The additions are scaled by alpha / rank."""
    steps: int = 150
    """Number of steps."""
    batch: int = 2
    """Windows or examples in a step."""
    accumulate: int = 1
    """Micro-batches in a step, one after the other; they divide the batch."""
    rate: float = 1e-4
    """Highest rate of AdamW, which rises in a tenth of the steps and falls as half a cosine."""
    clip_sigmas: float | None = None
    """Standard deviations of its column that a weight on the mask is clipped to after each step."""
    device: Literal["fixed", "redrawn"] = "fixed"
    """Whether the device is the core's own, or another in each step."""
    held_out_every: int = 25
    """Steps between evaluations on the text held out."""
    patience: int | None = None
    """Evaluations in a row without a better one after which training ends."""
    checkpoint_every: int = 25
    """Steps between checkpoints."""
    draws: int = 4
    """Draws of the noise for the table."""
    seed: int = 0
    """Seed of noise, order and low-rank factors."""
    out: Path | None = None
    """Folder for checkpoints, summary.json and the figure; runs/train, or runs/NAME of the file, unless given."""


def main(options: TrainOptions) -> TrainSummary:
    """Train, print the table, write summary.json, the figure and the trained parameters."""
    name = Path(options.file).stem if options.file.endswith(".toml") else "train"
    out = options.out or Path("runs") / name
    check_folder("out", out)
    study, text = _study(options)
    outcome = run(study, out)
    summary = summarise(study, outcome, outcome.name or options.file)
    reporting.write(summary, out)
    report.draw(summary, out)
    save_cores(outcome, out)
    if text is not None:
        save_models(text.checkpoint, outcome, out)
    print(f"\n{summary['name']}, {len(study.seeds)} seed(s), {study.draws} draws of noise\n\n{report.table(summary)}")
    folders = ", ".join(outcome.best) if len(outcome.best) <= MOST_NAMED else f"{len(outcome.best)} folders"
    model = "" if text is None else " and the model in model/"
    print(f"Written: {out}/summary.json, train.png/.pdf, and adapted.safetensors{model} in {folders}")
    return summary


def summarise(study: Study, outcome: Outcome, name: str) -> TrainSummary:
    """Return the outcome as summary.json has it."""
    return {
        "name": name,
        "figure": study.figure,
        "seeds": list(study.seeds),
        "draws": study.draws,
        "options": study.options.describe() | {"codesign": {**study.knobs, "knobs": dict(study.knobs["knobs"])}}
        if study.knobs
        else study.options.describe(),
        "exact": outcome.exact,
        "rows": outcome.rows,
        "recovery": recovery(outcome, study.figure),
        "versions": reporting.versions(),
    }


def save_cores(outcome: Outcome, out: Path) -> None:
    """Write the core of each run, with its trained numbers, beside the trained parameters."""
    for label, result in outcome.best.items():
        if isinstance(result.core, optics.TensorCore):
            optics.serialise.save(result.core, out / label / "core.toml")


def save_models(checkpoint: models.Checkpoint, outcome: Outcome, out: Path) -> None:
    """Write each trained model as a Hugging Face folder beside its core, for `--model` of the other programs."""
    for label, result in outcome.best.items():
        trained = dataclasses.replace(checkpoint, params=result.params)
        models.save(trained, out / label / "model", overwrite=True)


def _study(options: TrainOptions) -> tuple[Study, TrainedText | None]:
    """Return the study, and what it trains where that is a language model."""
    if options.file.endswith(".toml"):
        changed = [
            field.name
            for field in dataclasses.fields(options)
            if field.name not in ("file", "out") and getattr(options, field.name) != field.default
        ]
        if changed:
            raise ValueError(f"{changed[0]} is stated by {options.file}: change it there")
        return toml_file.load(options.file), None
    core = toml_file.machine(options.core)
    training = Options(
        trainable=Trainable(kind=options.train, rank=options.rank, alpha=options.alpha),
        **{
            name: getattr(options, name)
            for name in (
                "steps",
                "batch",
                "accumulate",
                "rate",
                "clip_sigmas",
                "device",
                "held_out_every",
                "patience",
                "checkpoint_every",
                "seed",
            )
        },
    )
    training.check()
    common: dict[str, Any] = {
        "cores": {Path(options.core).stem: core},
        "photons": None if options.photons_per_mac is None else [options.photons_per_mac],
        "methods": (LIGHT,),
        "seeds": [options.seed],
        "options": training,
        "draws": options.draws,
    }
    if options.file:
        return Study(task=task.load(options.file, Path.cwd()), **common), None
    of_text = TrainedText(
        model=options.model,
        text=options.text,
        held_out_text=options.held_out_text,
        windows=options.windows,
        held_out_windows=options.held_out_windows,
        held_out_after=options.held_out_after,
        window_tokens=options.window_tokens,
        temperature=options.temperature,
    )
    of_text.check(options.batch // options.accumulate)
    made = of_text.load()
    return Study(task=lambda seed: made, figure="kl", **common), of_text
