"""Types of the width program's summary, as summary.json holds it. Needs are in photo-electrons per MAC."""

from typing import NotRequired, TypedDict

from experiments.common.text_options import TextDescription


class RandomNeed(TypedDict):
    """Needs of random matrices of one series and width, one per draw."""

    series: str
    width: int
    detected: list[float]


class LayerNeeds(TypedDict):
    """Needs of one kind of product: by layer and width, as it is and with signs shuffled; launched at full width."""

    widths: list[int]
    detected: list[list[float]]
    signs_shuffled: list[list[float]]
    launched: list[float]


class PredictionNeed(TypedDict):
    """Need of one kind of product at a fixed loss of the model; `relative_stderr` is that of its logarithm."""

    width: int
    detected: float
    launched: float
    relative_stderr: float | None


class Slope(TypedDict):
    """d ln(photons per MAC) / d ln N, with its standard error."""

    slope: float
    stderr: float
    points: int
    shuffled_slope: NotRequired[float]
    shuffled_stderr: NotRequired[float]


class JudgedSlope(Slope):
    """A slope, and the law within its 95 % interval."""

    verdict: str


class WidthSummary(TextDescription):
    """The content of summary.json."""

    unscored: int
    snr_db: float
    kl: float
    random: list[RandomNeed]
    layers: dict[str, LayerNeeds]
    predictions: dict[str, PredictionNeed]
    slopes: dict[str, JudgedSlope]
    versions: dict[str, str]
