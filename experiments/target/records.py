"""Types of the target's summary, as summary.json holds it. Units are in the names of the fields."""

from typing import NotRequired, TypedDict

from experiments.common.billing import TokenBill
from experiments.common.text_options import TextDescription
from experiments.common.verdict import EnergyVerdict
from experiments.evaluation.paired import PairedLoss


class ScenarioVerdict(EnergyVerdict, PairedLoss):
    """Energy of a core at 1 exaOPS, and its loss on the language model that was run."""

    mean_drive: float


class FullScaleLight(PairedLoss):
    """A scenario whose light is sized for `bits` against the detector's full scale."""

    bits: float
    watts_at_exaops: float


class TargetMachine(TypedDict):
    """The machine that the scenarios are held against."""

    watts: float
    fj_per_mac: float


class MapPoint(PairedLoss):
    """A measured point of the map; `watts` are those of the whole model at 1 exaOPS."""

    size: int
    imperfections: str
    light_bits: float
    enob: float
    photons_per_mac: float
    watts: float
    watts_on_core: float
    delta_nll_from_kl: float


class InterpolatedCore(TypedDict):
    """A core between the points of the map; `measured` is its loss once it was run."""

    size: int
    light_bits: float
    enob: float
    clock_hz: float
    delta_nll: float
    watts: float
    watts_on_core: float
    measured: NotRequired[PairedLoss]


class CheapestCore(TypedDict):
    """The core of fewest watts with a loss of at most `most` nats per token over `over`; None if there is none."""

    over: str
    most: float
    imperfections: str
    core: InterpolatedCore | None


class ClockLoss(PairedLoss):
    """Loss of the core in the middle of the map at another clock."""

    clock_hz: float


class AccuracyMap(TypedDict):
    """Accuracy and watts over a grid of cores. nll_per_kl: delta NLL per nat of KL, fitted over all points."""

    scenario: str
    axes: dict[str, list[float]]
    windows: int
    points: list[MapPoint]
    nll_per_kl: float
    nll_per_kl_fitted: float
    nll_per_kl_stderr: float | None
    w8a8_delta_nll_from_kl: float
    cheapest: list[CheapestCore]
    least_loss: dict[str, MapPoint]
    clocks: list[ClockLoss]
    fronts: dict[str, list[MapPoint]]


class EvaluatedCore(TypedDict):
    """Figure of merit of a core; `clock` in Hz, `watts` of the workload at 1 exaOPS, `kl` in nats per token."""

    clock: float
    light_bits: float
    enob: float
    merit: float
    watts: float
    kl: float
    photons_per_mac: float


class FreshMerit(TypedDict):
    """Mean figure of merit over noise keys that the search has not used."""

    merit: float
    merit_stderr: float | None
    kl: float
    keys: int


class BestCore(EvaluatedCore):
    """The best core of a search, evaluated again."""

    on_fresh_noise: FreshMerit


class GridSearch(TypedDict):
    """The best of a regular grid of cores."""

    evaluations: int
    best: BestCore


class Descent(TypedDict):
    """A descent on the figure of merit, and a grid search over the same bounds where one was asked for."""

    loss_scale: float
    tokens: int
    path: list[EvaluatedCore]
    best: BestCore
    evaluations: int
    grid: NotRequired[GridSearch]


class BudgetComparison(TypedDict):
    """A total of the budget by hand beside ours [fJ/MAC]; `steps` add the omitted costs one after the other."""

    scenario: str
    rows: int
    bits: int
    against: str
    fj_per_mac: float
    ratio: float
    steps: dict[str, float]


class TargetSummary(TextDescription):
    """The content of summary.json."""

    keys: int
    effective_bits: float
    shapes: str
    workload: str
    mask: str | None
    attention: str
    target: TargetMachine
    accepted_loss: float
    draws: int
    changes: list[str]
    scenarios: dict[str, ScenarioVerdict]
    digital: dict[str, PairedLoss]
    full_scale_light: dict[str, FullScaleLight]
    digital_watts: dict[str, float]
    map: AccuracyMap | None
    descent: Descent | None
    budget_by_hand: list[BudgetComparison]
    bills: dict[str, list[TokenBill]]
    versions: dict[str, str]
