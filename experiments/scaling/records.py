"""The content of summary.json of `otc scaling`."""

from typing import TypedDict

from experiments.common.text_options import TextDescription
from experiments.evaluation.paired import PairedLoss
from experiments.scaling.fit import Verdict
from experiments.scaling.training import Training


class PointRecord(PairedLoss):
    """A model at one light level.

    photons_per_mac: launched, at the mean drive of the model; noise: error over signal, mean over sites and layers.
    """

    photons_per_mac: float
    source_power_w: float
    noise: float


class SiteRecord(TypedDict):
    """A kind of site, medians over its layers, on the first window at the core's own light; None on an exact core."""

    mean_drive: float | None
    crest_factor: float | None
    rho: float | None
    snr_db: float | None


class ModelRow(TypedDict):
    """A model on the core.

    group: "tiny" for those that the laws are fitted to, "tested" for the one that they are tested on, "other".
    parameters: the embedding among them, once. digital_nll: [nats/token]. exponent: d ln KL / d ln noise over the light
    levels, None for one. own: at the core's own source power; points: at the given photons per MAC. training: None for
    a model that was not trained here.
    """

    name: str
    group: str
    seed: int | None
    width: int
    layers: int
    parameters: int
    digital_nll: float
    bytes_per_token: float
    mean_drive: float
    exponent: float | None
    sites: dict[str, SiteRecord]
    own: PointRecord
    points: list[PointRecord]
    windows: int
    training: Training | None


class FitRecord(TypedDict):
    """A law that is fitted to the tiny models, and what it says of the one that it is tested on.

    quantity: what is fitted; sizes: against what; exponents, stderrs: by size, with their standard errors; residual:
    standard deviation of its logarithm about the law; low, high: interval of the prediction; ratio: measured over
    predicted.
    """

    quantity: str
    sizes: list[str]
    exponents: list[float]
    stderrs: list[float]
    residual: float
    predicted: float
    low: float
    high: float
    measured: float
    ratio: float
    verdict: Verdict


class ExtrapolationRecord(TypedDict):
    """What the law says of a model that was not run."""

    model: str
    parameters: int
    predicted: float
    low: float
    high: float


class ScalingSummary(TextDescription):
    """The content of summary.json.

    reference: photons per MAC at which the laws are fitted; the first of `fits` decides. seed_spread: standard
    deviation of ln KL there over seeds of one size. statement: what follows. extrapolations: empty where none is
    offered.
    """

    core: str
    trained_on: str
    target_loss: float
    photons: list[float]
    reference: float
    rows: list[ModelRow]
    seed_spread: float | None
    fits: list[FitRecord]
    statement: str
    extrapolations: list[ExtrapolationRecord]
    versions: dict[str, str]
