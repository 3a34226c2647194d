"""Types of the content of summary.json of `otc compare`."""

from typing import Any, Literal, TypedDict

Basis = Literal["peak", "achieved"]
Place = Literal["plug", "facility"]
BASES: tuple[Basis, ...] = ("peak", "achieved")
PLACES: tuple[Place, ...] = ("plug", "facility")


class Interval(TypedDict):
    """A nominal value and the ends of its range."""

    nominal: float
    low: float
    high: float


class Comparison(TypedDict):
    """A machine on a workload.

    Attributes:
        name, title: short and full name; kind: "optical" or "digital"; format: number format, or where attention runs.
        watts_at_exaops: W at 1e18 operations/s, by "peak" and "achieved", then by "plug" and "facility".
        utilisation: operations/s achieved over those at peak.
        chips: chips that hold a copy of the model; of optical cores, those of 1 exaOPS with the time that they wait.
        bill_watts_at_exaops: the bill as `otc bill` and `otc target` have it; None for digital machines.
        published_watts_at_exaops: by published runs of the same format, as `otc headline` has it; else None.
        waits_w: W at 1 exaOPS that waiting adds to the bill, by cause, at the plug; empty for digital machines.
        digital_ops: operations/s of the digital units beside optical cores of 1 exaOPS, as given or as fast as keeps
            the cores busy; None for digital machines.
        delta_nll: loss over float32 on SmolLM2-135M [nats/token], None where this product has not measured it.
        accuracy: the same in words, with its source.
        rests_on, omitted: statements of the bill, or of the model of digital machines.
    """

    name: str
    title: str
    kind: Literal["optical", "digital"]
    format: str
    watts_at_exaops: dict[Basis, dict[Place, Interval]]
    utilisation: Interval
    chips: float
    bill_watts_at_exaops: float | None
    published_watts_at_exaops: Interval | None
    waits_w: dict[str, Interval]
    digital_ops: float | None
    delta_nll: float | None
    accuracy: str
    rests_on: list[str]
    omitted: list[str]


class Accounting(TypedDict):
    """A way to count the operations and watts of a facility: peak per chip, watts per chip, PUE, and what follows."""

    rate: str
    peak_ops: float
    watts_of: str
    chip_watts: float
    pue: float
    tops_per_watt: float


class Claim(TypedDict):
    """What a maker states of a facility, and the accountings that give it to `within`."""

    system: str
    format: str
    facility_ops: float
    facility_watts: float
    tops_per_watt: float
    source: str
    within: float
    accountings: list[Accounting]
    reproduced_by: list[int]


class CompareSummary(TypedDict):
    """The content of summary.json."""

    model: str
    context: int
    batch: int
    attention: str
    digital_ops: float | None
    rows: list[Comparison]
    claims: list[Claim]
    schedule: dict[str, dict[str, Any]]
    versions: dict[str, str]
