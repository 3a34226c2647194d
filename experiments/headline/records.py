"""Types of the headline's summary, as summary.json holds it. Units are in the names of the fields."""

from collections.abc import Iterable
from typing import Literal, TypedDict

from experiments.common.text_options import TextDescription
from experiments.evaluation.records import SiteFigures


class _Bill(TypedDict):
    energy_per_token_j: float
    energy_per_mac_j: float
    macs_per_token: float
    tops_per_watt: float
    watts_at_exaops: float
    components: dict[str, float]
    energy_source: str


class DigitalBill(_Bill):
    """Bill of a digital machine. `components` are in J per MAC."""

    optical: Literal[False]


class LargeModelBill(TypedDict):
    """Bill of the prefill of Llama 3.1 70B on the same core. `components` are in J per MAC."""

    prompt: int
    energy_per_mac_j: float
    watts_at_exaops: float
    bill_rests_on: list[str]
    components: dict[str, float]


class OpticalBill(_Bill):
    """Bill of an optical core. `components` are in J per MAC, `source_power_w` is of the first core of a design."""

    optical: Literal[True]
    energy_per_mac_on_core_j: float
    source_power_w: float
    core_seconds_per_token: float
    billed_mean_drive: float
    bill_rests_on: list[str]
    llama_3_1_70b: LargeModelBill


class Accuracy(TypedDict):
    """Accuracy of one machine, means over windows; `delta_nll` is paired with float32 [nats/token]."""

    name: str
    perplexity: float
    nll: float
    delta_nll: float
    delta_nll_stderr: float | None
    top1_agreement: float
    kl: float


class SiteMedians(TypedDict, total=False):
    """Medians over all sites and layers, and the figures of each site; absent where nothing was observed."""

    snr_db: float | None
    enob_full_scale: float | None
    clip_rate: float | None
    rho: float | None
    mean_drive: float | None
    sites: dict[str, SiteFigures]


class DigitalRow(Accuracy, DigitalBill, SiteMedians):
    """Accuracy and bill of a digital machine."""


class OpticalRow(Accuracy, OpticalBill, SiteMedians):
    """Accuracy and bill of an optical core."""


HeadlineRow = DigitalRow | OpticalRow


class LightPoint(TypedDict):
    """A preset at another light level."""

    name: str
    effective_bits: float
    delta_nll: float
    perplexity: float
    energy_per_mac_j: float
    energy_per_mac_on_core_j: float
    source_power_w: float


class LightCurve(TypedDict):
    """Accuracy against light, on the first `windows` windows."""

    windows: int
    points: list[LightPoint]


class Target(TypedDict):
    """The machine that the comparison is held against: 1 exaOPS in 10 kW."""

    energy_per_mac_j: float
    watts: float
    ops_per_s: float


class MachineEnergy(TypedDict):
    """Energy per MAC of a digital machine, with its range, provenance and source."""

    energy_per_mac_j: float
    low: float
    high: float
    mark: str
    source: str


class MeasuredRunRecord(TypedDict):
    """A published run of a digital machine, see `electronics.digital.measured.MeasuredRun`."""

    system: str
    precision: str
    model: str
    scenario: str
    j_per_output_token: float
    scope: str
    source: str


class HeadlineSummary(TextDescription):
    """The content of summary.json."""

    mask: str | None
    attention: str
    effective_bits: float
    target: Target
    rows: list[HeadlineRow]
    light_curve: LightCurve
    digital_machines: dict[str, MachineEnergy]
    measured_runs: list[MeasuredRunRecord]
    assumptions: dict[str, list[str]]
    omitted_from_bill: list[str]
    versions: dict[str, str]


def optical_rows(rows: Iterable[HeadlineRow]) -> list[OpticalRow]:
    """Return the rows of optical cores, in their order."""
    return [row for row in rows if row["optical"] is True]
