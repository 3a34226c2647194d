"""Types of the validation's summary, as summary.json holds it. Units are in the names of the fields."""

from typing import Any, TypedDict


class InsideRange(TypedDict):
    """Whether a published value lies within the predicted range; None where none is published."""

    tokens_per_s: bool | None
    j_per_token: bool | None


class InsideShare(TypedDict):
    """Share of the held-out rows whose published value lies within the predicted range."""

    tokens_per_s: float
    j_per_token: float


class GroupMedians(TypedDict):
    """Median absolute error of a group of rows under one way of holding out; None without rows."""

    group: str
    way: str
    rows: int
    tokens_per_s: float | None
    j_per_token: float | None


class RowRecord(TypedDict):
    """A published row beside its predictions, with the row in the fit and held out of it."""

    group: str
    system: str
    model: str
    precision: str
    software: str
    chips: int
    copies: int
    prompt: int
    output: int
    use: str
    note: str
    prompt_mark: str
    mark: str
    scope: str
    source: str
    batch: int
    batch_published: bool
    tokens_per_s: float | None
    tokens_per_s_predicted: float
    tokens_per_s_held_out: float | None
    j_per_token: float | None
    j_per_token_predicted: float
    j_per_token_held_out: float | None
    watts: float | None
    watts_predicted: float
    inside_range: InsideRange


class ValidationSummary(TypedDict):
    """The content of summary.json."""

    medians: list[GroupMedians]
    inside_range: InsideShare
    calibration: dict[str, dict[str, Any]]
    rows: list[RowRecord]
    versions: dict[str, str]
