"""Types of the serving summary, as summary.json holds it. Units are in the names of the fields."""

from collections.abc import Mapping
from typing import Any, TypedDict

from experiments.serving.model import Range


class RangeRecord(TypedDict):
    """A nominal value and the ends of its range."""

    nominal: float
    low: float
    high: float


class RowRecord(TypedDict):
    """A machine or pair at one batch. `kept`: whether the latency limits are met; `parts` in J per output token."""

    workload: str
    prefill: str
    decode: str
    batch: int
    chips: tuple[int, int]
    machines: tuple[int, int]
    ttft_s: RangeRecord
    tpot_s: RangeRecord
    tokens_per_s: RangeRecord
    j_per_token: RangeRecord
    tokens_per_s_per_kw: RangeRecord
    parts: Mapping[str, float]
    nameplate_watts: float
    kept: bool
    split: bool


class AnnouncedRecord(TypedDict):
    """An announced pair on a workload. `row`: None where it serves no batch; `over_galaxy`: in tokens/s per kW."""

    title: str
    source: str
    row: RowRecord | None
    over_galaxy: RangeRecord | None


class AccuracyRecord(TypedDict):
    """Loss of a model on a core over the same model in float32 [nats/token], and the run that measured it."""

    delta_nll: float
    delta_nll_stderr: float | None
    kl: float
    model: str
    source: str


class LightRecord(TypedDict):
    """The best rows of a workload with and without light. `factor`: in tokens/s per kW; None where a row is missing."""

    light: RowRecord | None
    digital: RowRecord | None
    factor: RangeRecord | None
    told_apart: bool
    accuracy: str
    sentence: str


class ShiftRecord(TypedDict):
    """A fleet sized for one workload and run on another. `kept`: share of the goodput of one sized for it."""

    name: str
    is_alone: bool
    sized_for: str
    run_on: str
    kept: float


class OvertakingRecord(TypedDict):
    """Energy of optical prefill over fJ/MAC and load time, and the level at which it overtakes each machine."""

    fj_per_mac: list[float]
    reload_s: list[float]
    joules_per_prompt_token: list[list[float]]
    digital_joules_per_prompt_token: Mapping[str, float]
    presets: Mapping[str, tuple[float, float]]
    overtakes_below_fj_per_mac: dict[str, float | None]


class WorkloadRecord(TypedDict):
    """A workload and its verdict. `limits_s`: time to the first token and between tokens, None without a limit."""

    title: str
    prompt: int
    output: int
    cached: int
    limits_s: list[float | None]
    constants: dict[str, dict[str, Any]]
    sentences: list[str]
    announced: list[AnnouncedRecord]
    light: LightRecord


class ServingSummary(TypedDict):
    """The content of summary.json.

    attention: where attention of prompts without a cached prefix runs, by optical system. accuracy: by optical system;
    None where nobody measured it. light: the last line of the report; None without any
    system that computes with light.
    """

    program: str
    model: str
    precisions: dict[str, str]
    attention: dict[str, str]
    accuracy: dict[str, AccuracyRecord | None]
    light: str | None
    assumed: dict[str, list[str]]
    bill_rests_on: dict[str, str]
    workloads: dict[str, WorkloadRecord]
    overtaking: OvertakingRecord | None
    mix_shift: list[ShiftRecord]
    rows: list[RowRecord]
    versions: dict[str, str]


def range_record(values: Range) -> RangeRecord:
    """Return a range as summary.json holds it."""
    return {"nominal": values.nominal, "low": values.low, "high": values.high}
