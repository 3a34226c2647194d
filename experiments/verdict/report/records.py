"""Types of the summary of `otc verdict`, as summary.json holds it. Units are in the names of the fields."""

from typing import NotRequired, TypedDict

from experiments.common.text_options import TextDescription
from experiments.common.verdict import EnergyVerdict
from experiments.comparison.records import Comparison


class DesignRecord(TypedDict):
    """A design, with its loss on the windows that it is judged on.

    ranges, encoding: see `space.Structure`. delta_nll: over the model as it is, in float32. excess: over 8-bit digital,
    placed by KL on the curve of the model, see `losses.OverDigital`; measured_excess: as measured on the windows of the
    design. A standard error is None for a single window.
    """

    variant: str
    structure: str
    attention: str
    mask: str
    ranges: str
    encoding: str
    rows: int
    columns: int
    accumulate: int
    light_bits: float
    enob: float
    dac_enob: float
    clock: float
    loading: float
    photons_per_mac: float
    watts: float
    kl: float
    delta_nll: float
    delta_nll_stderr: float | None
    excess: float
    excess_stderr: float | None
    measured_excess: float
    measured_excess_stderr: float | None


class TrialRecord(TypedDict):
    """A design that a search measured, on the text that calibrates."""

    variant: str
    attention: str
    structure: str
    watts: float
    kl: float


class VariantRecord(TypedDict):
    """A model, and how the core is set for it: factors on the numbers of a design by kind of site.

    drive_by_site, macs_by_site: mean drive and multiply-accumulates of each kind. rotation_seed: of the rotation that
    the model applies before `down`; None for no such. heads: (layer, head), those first that lose least on light.
    """

    steps: list[str]
    mean_drive: float
    drive_by_site: dict[str, float]
    macs_by_site: dict[str, float]
    sinks: int
    light_by_site: dict[str, float]
    gain_by_site: dict[str, float]
    loading_by_site: dict[str, float]
    rotation_seed: int | None
    heads: list[tuple[int, int]]


class PairRecord(TypedDict):
    """Two constants that close the target together, see `optics.Uncertainty.break_even_pairs`."""

    first: str
    second: str
    share: float
    first_value: float
    second_value: float


class BestRecord(TypedDict):
    """The cheapest design within a limit, of one model; None where none of those measured is within it."""

    limit: float
    variant: str
    design: DesignRecord | None


class JudgedRecord(TypedDict):
    """The best design of all models within a limit.

    file, place, model: of the design, for other programs: `--cores FILE --attention PLACE --model MODEL`; an empty
        model is that of the run. A design with a share of the heads on light names digital heads of the model that is
        billed, those of its last layers, which cost what any others cost.
    confirmed: its loss on other windows and on the confirming devices, under other noise, placed by the same curve.
    tiled: its loss with as many row tiles to a sum as the model that is billed has, on smaller cores whose sums have
        the same ratios of signal and noise; None for a model as wide as that, and where all losses are so.
    achieved: at peak and as it is run, at the plug and at the facility, see `otc compare`.
    """

    limit: float
    design: DesignRecord
    energy: EnergyVerdict
    pairs: list[PairRecord]
    file: str
    place: str
    model: str
    confirmed: DesignRecord
    tiled: DesignRecord | None
    achieved: Comparison


class ScenarioRecord(TypedDict):
    """What one scenario allows."""

    variants: dict[str, VariantRecord]
    trials: list[TrialRecord]
    designs: list[DesignRecord]
    best: list[BestRecord]
    judged: list[JudgedRecord]


class StepRecord(TypedDict):
    """A step from the first verdict to the best design."""

    step: str
    design: DesignRecord


class ComparisonRecord(TypedDict):
    """A search and a random one of equal cost: ln W + KL / s, averaged over trade-offs, least found."""

    seed: int
    evaluations: int
    search: float
    random: float


class DepartureRecord(TypedDict):
    """How far a model with attention on light lies above its curve, see `losses.Departure`."""

    kl: float
    delta_nll: float
    delta_nll_stderr: float | None


class CurveRecord(TypedDict):
    """Losses of a model [nats per token]: in float32 first, then on cores by rising KL, with digital attention."""

    kl: list[float]
    delta_nll: list[float]
    attention_on_light: DepartureRecord


class W8A8Record(TypedDict):
    """Loss of the model as it is in 8-bit integers [nats per token]."""

    delta_nll: float
    delta_nll_stderr: float | None


class CurvesRecord(TypedDict):
    """What losses are placed by, see `losses.OverDigital`: by model, on so many windows."""

    windows: int
    models: dict[str, CurveRecord]
    w8a8: W8A8Record


class VerdictSummary(TextDescription):
    """The whole summary.

    tiled: whether all losses are those of sums of as many row tiles as the model that is billed has.
    """

    keys: int
    shapes: str
    target_watts: float
    limits: list[float]
    curves: CurvesRecord
    scenarios: dict[str, ScenarioRecord]
    waterfall: list[StepRecord]
    masks: list[DesignRecord]
    otherwise: list[DesignRecord]
    comparison: list[ComparisonRecord]
    digital: list[Comparison]
    changes: list[str]
    searched_again: bool
    devices: list[int]
    confirming_devices: list[int]
    tiled: bool
    search: dict[str, str | int | float]
    versions: dict[str, str]
    model_trained: NotRequired[str]
