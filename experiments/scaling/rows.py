"""What a model loses on the core at several light levels, and what the light sees in it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import models
import optics
from experiments.common import billing
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.paired import paired_loss
from experiments.evaluation.records import Evaluation, EvaluationCase, SiteFigures, observed_drive
from experiments.scaling.records import ModelRow, PointRecord, SiteRecord
from experiments.scaling.training import Training

DIGITAL, OWN = "digital", "own light"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model to be measured.

    Attributes:
        name: of the model.
        group: see `ModelRow`.
        checkpoint: the model.
        windows: token ids that it is scored on [count, tokens].
        seed: of its training here, or None.
        training: how it came about, or None.
    """

    name: str
    group: str
    checkpoint: models.Checkpoint
    windows: np.ndarray
    seed: int | None = None
    training: Training | None = None


def row_of(
    model: Measured, core: optics.TensorCore, photons: Sequence[float], noise_seed: int, cache_path: Path
) -> ModelRow:
    """Return the row of a model.

    Args:
        model: the model.
        core: at its own light.
        photons: launched per MAC, by light level.
        noise_seed: of the noise, the same for all models.
        cache_path: of the results.

    Raises:
        ValueError: if the model is no decoder.
    """
    config = model.checkpoint.config
    if not isinstance(config, models.DecoderConfig):
        raise ValueError(f"{model.name} is no language model that predicts the next token")
    count = len(model.windows)
    with Evaluator(model.checkpoint, noise_seed, cache_path) as evaluator:

        def measure(cases: Sequence[EvaluationCase]) -> dict[str, Evaluation]:
            return evaluator.measure(model.checkpoint, model.windows, cases, model.name, keep_bar=False)

        digital = EvaluationCase(name=DIGITAL, core=None, windows=count)
        found = measure([digital, EvaluationCase(name=OWN, core=core, windows=count, observed=True)])
        drive = observed_drive(found[OWN])
        launched = float(optics.photons_per_mac(billing.with_mean_drive(core, drive)))
        powers = [float(core.source.power) * level / launched for level in photons]
        found |= measure(
            [
                EvaluationCase(
                    name=f"{level:g} photons",
                    core=optics.with_source_power(core, power),
                    windows=count,
                    observed=True,
                )
                for level, power in zip(photons, powers, strict=True)
            ]
        )

    def point(name: str, level: float, power: float) -> PointRecord:
        loss = paired_loss(found[name], found[DIGITAL])
        return {**loss, "photons_per_mac": level, "source_power_w": power, "noise": mean_noise(found[name].sites)}

    points = [point(f"{level:g} photons", level, power) for level, power in zip(photons, powers, strict=True)]
    tokens = model.windows
    return {
        "name": model.name,
        "group": model.group,
        "seed": model.seed,
        "width": config.hidden,
        "layers": config.layers,
        "parameters": models.parameter_count(config),
        "digital_nll": float(np.mean([window["nll"] for window in found[DIGITAL].windows])),
        "bytes_per_token": bytes_per_token(model.checkpoint.tokenizer, tokens),
        "mean_drive": drive,
        "exponent": exponent([each["noise"] for each in points], [each["kl"] for each in points]),
        "sites": {kind_of(name): _site(figures) for name, figures in found[OWN].sites.items()},
        "own": point(OWN, launched, float(core.source.power)),
        "points": points,
        "windows": count,
        "training": model.training,
    }


def mean_noise(sites: dict[str, SiteFigures]) -> float:
    """Return the power of the error over that of the signal, mean over all sites and their layers; 0 on an exact core.

    Errors add up along the residual stream, so this is what KL is proportional to where it is small.
    """
    ratios = [0.0 if snr is None else 10 ** (-snr / 10) for each in sites.values() for snr in each["snr_db"]]
    return float(np.mean(ratios))


def bytes_per_token(tokenizer: models.Tokenizer, windows: np.ndarray) -> float:
    """Return the length of a token in bytes of UTF-8, mean over windows [count, tokens]."""
    # A window of bytes may begin within a character, whose bytes then decode to more than they are.
    if tokenizer.size == 256:
        return 1.0
    return sum(len(tokenizer.decode(window).encode()) for window in windows) / windows.size


def exponent(noise: Sequence[float], kl: Sequence[float]) -> float | None:
    """Return d ln KL / d ln noise by least squares; None for fewer than two levels above 0."""
    if len(set(noise)) < 2 or min(noise) <= 0 or min(kl) <= 0:
        return None
    return float(np.polyfit(np.log(noise), np.log(kl), 1)[0])


def kind_of(name: str) -> str:
    """Return the kind of a site by its name: `down` for `008 layers.down 1536x576`; the tied head is `head`."""
    kind = name.split()[1].removeprefix("layers.")
    return "head" if kind == "embedding" else kind


def _site(figures: SiteFigures) -> SiteRecord:
    return {
        "mean_drive": _median(figures["mean_drive"]),
        "crest_factor": _median(figures["crest_factor"]),
        "rho": _median(figures["rho"]),
        "snr_db": _median(figures["snr_db"]),
    }


def _median(by_layer: Sequence[float | None]) -> float | None:
    known = [value for value in by_layer if value is not None]
    return float(np.median(known)) if known else None
