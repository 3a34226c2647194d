"""Types of the summary of `otc workloads`. Units are in the names of the fields; energies are at the plug."""

from typing import Literal, TypedDict

from experiments.serving.records import RangeRecord

Verdict = Literal["light", "digital", "cannot be told apart"]


class LightBill(TypedDict):
    """Bill of one item of a workload on the core, as `otc bill` gives it.

    Attributes:
        joules: per item; low and high are the 5th and 95th percentile over the ranges of the core's constants.
        light_share: share of the MACs on light.
        vectors_per_load: vectors that a load of a mask serves.
        least_vectors_per_load: of the site with the fewest, such as an expert.
        utilisation: of the core, see `optics.System`.
        dominant: component with most of the energy, and its share of it.
        components_j: energy per item by component.
    """

    joules: RangeRecord
    fj_per_mac: float
    macs: float
    watts_at_exaops: float
    light_share: float
    vectors_per_load: float
    least_vectors_per_load: float
    utilisation: float
    dominant: str
    dominant_share: float
    components_j: dict[str, float]
    bill_rests_on: list[str]


class ServedRecord(TypedDict):
    """Energy per item as the serving model gives it, the idle draw in it, and chips that hold model and batch."""

    joules: RangeRecord
    idle_share: float
    chips: int


class Comparison(TypedDict):
    """Light against a digital machine on one workload.

    Attributes:
        joules: of the digital machine per item.
        basis: what they are of.
        chips: of the digital machine; None where its energy is that of a MAC.
        bill_ratio: the core's bill over `joules`.
        ratio: what the verdict is of: the optical server over `joules` where `like` is true, else `bill_ratio`.
        like: whether both sides are achieved figures of the same model of serving.
        verdict: the side that needs less energy, if the range of `ratio` leaves out 1.
    """

    joules: RangeRecord
    basis: str
    chips: int | None
    bill_ratio: RangeRecord
    ratio: RangeRecord
    like: bool
    verdict: Verdict


class WorkloadRow(TypedDict):
    """A workload on light and on each digital machine.

    Attributes:
        title: in tables and figures.
        group: of workloads.
        item: what energies are per: "token", "text" or "image".
        model, phase, context, batch: what is run; of other networks than language models None but for model and batch.
        bill: on the core.
        served: on optical servers; None for other networks, with attention on light, and where it is refused.
        against: by machine; None where the machine has no figure.
        refused: why a figure is missing, by machine; "light" for that of the optical server.
    """

    title: str
    group: str
    item: str
    model: str
    phase: str | None
    context: int | None
    batch: int
    bill: LightBill
    served: ServedRecord | None
    against: dict[str, Comparison | None]
    refused: dict[str, str]


class WorkloadsSummary(TypedDict):
    """The content of summary.json. machines: full names by short name; omitted: costs that are in no bill."""

    core: str
    attention: str
    vectors_per_load: float
    machines: dict[str, str]
    rows: list[WorkloadRow]
    notes: list[str]
    omitted: list[str]
    versions: dict[str, str]
