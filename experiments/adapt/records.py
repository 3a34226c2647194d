"""The content of the summary of `otc adapt`."""

from typing import Literal, NotRequired, TypedDict

from experiments.common.text_options import TextDescription
from experiments.evaluation.paired import PairedLoss

Criterion = Literal["photons_per_mac", "source_power_w", "watts_at_exaops"]
CRITERIA: dict[Criterion, str] = {
    "photons_per_mac": "launched photons per MAC",
    "source_power_w": "peak power of a source",
    "watts_at_exaops": "watts at 1 exaOPS",
}


class PointRecord(PairedLoss):
    """A method at one light level.

    light: factor on the source power of the core; kl_by_window: [nats/token], averaged over noise keys and devices;
    by_device: the loss on each of `AdaptSummary.devices` alone; photons_per_mac: launched, at the measured mean drive;
    watts_at_exaops: of the model named `shapes`.
    """

    light: float
    kl_by_window: list[float]
    by_device: list[PairedLoss]
    photons_per_mac: float
    source_power_w: float
    watts_at_exaops: float


class SiteRecord(TypedDict):
    """A kind of site, medians over its layers, at the core's own light.

    mean_drive: mean magnitude of the inputs over the largest of each vector; crest_factor: the largest over their rms;
    snr_db: None for an exact core.
    """

    mean_drive: float
    crest_factor: float | None
    snr_db: float | None


class Comparison(TypedDict):
    """A method against the unprepared model at its own light, in one criterion; None beyond the light levels.

    kl: of the method where the criterion is equal; recovered: share of the unprepared model's KL that is gone, with
    its standard error over windows (jackknife), None for one window; equal_kl: value of the criterion at which the
    method has that KL.
    """

    kl: float | None
    recovered: float | None
    recovered_stderr: float | None
    equal_kl: float | None


class MethodRow(TypedDict):
    """A method: its points by light, and how it compares.

    digital_difference: largest difference of its float32 logits from those of the model as it is, relative to the
    largest of them; None for a model that was trained. watts_for_kl: at 1 exaOPS for `AdaptSummary.kl`.
    sinks: so many first tokens are digital; light_by_site: factor on the source power by kind of site, empty where all
    have the same; gain_by_site: factor on the gain before the ADCs; loading_by_site: how many rms values of the product
    the full scale of the ADCs holds; drives: mean drive that each kind of site is billed for.
    """

    name: str
    exponents: dict[str, float]
    tried: int
    trained: bool
    digital_kl: float
    digital_difference: float | None
    mean_drive: float
    sinks: int
    light_by_site: dict[str, float]
    gain_by_site: dict[str, float]
    loading_by_site: dict[str, float]
    drives: dict[str, float]
    sites: dict[str, SiteRecord]
    points: list[PointRecord]
    against_unprepared: dict[Criterion, Comparison]
    watts_for_kl: float | None
    bill_rests_on: list[str]


class AdaptSummary(TextDescription):
    """The content of summary.json.

    kl: KL that `watts_for_kl` of each method is for [nats/token]. best: name of the best method without training;
    saved: folder of its model; machine: file of the core, or of the design, that is set for it.
    """

    core: str
    attention: str
    calibrated_on: str
    calibration_windows: int
    keys: int
    devices: list[int]
    shapes: str
    kl: float
    rows: list[MethodRow]
    best: str
    saved: NotRequired[str]
    machine: NotRequired[str]
    versions: dict[str, str]
