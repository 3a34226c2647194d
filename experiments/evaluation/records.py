"""What an evaluation of a language model runs under, and what it gives."""

import dataclasses
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np

import optics
from electronics import Part
from experiments.common.workload import Attention
from optics.core.by_site import Machine


class Windows(NamedTuple):
    """Windows of a text [windows, tokens], and how often each is repeated under other noise.

    The key of the noise follows from the number of a window; `first` is that of the first.
    """

    tokens: np.ndarray
    keys: int = 1
    first: int = 0

    @property
    def repeated(self) -> np.ndarray:
        """Every window under every noise."""
        return np.tile(self.tokens, (self.keys, 1))


class WindowScores(TypedDict):
    """An `Agreement` on one window, as it is stored."""

    nll: float
    top1: float
    kl: float


class SiteFigures(TypedDict):
    """Figures of merit of a site, one for each layer it ran in; None where one is infinite, as an exact core's SNR."""

    snr_db: list[float | None]
    enob_full_scale: list[float | None]
    clip_rate: list[float | None]
    rho: list[float | None]
    mean_drive: list[float | None]
    crest_factor: list[float | None]


class WindowRecord(TypedDict):
    """What the cache holds of one window; all but the scores only where the window was run with diagnostics."""

    agreement: WindowScores
    sites: NotRequired[dict[str, SiteFigures]]
    drives: NotRequired[dict[str, float]]
    mean_drive: NotRequired[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationCase:
    """One core to evaluate the model under.

    Attributes:
        name: key of its result.
        core: what emulates the products of the model, one core or one for each site; None for plain float32.
        windows: how many of the windows it runs on, the first ones.
        observed: whether the first window is run with diagnostics as well.
        attention: where the attention of the model runs.
        chosen_by: the core or design whose bill chooses the operand on the mask; `core` unless given.
        ranged_on: token ids [count, tokens] on which the range of the ADC behind each column is found, `adc.loading`
            times the rms there (`optics.fit_ranges`), and then fixed; None for ranges that follow `adc.span`. As many
            tokens as in the windows.
    """

    name: str
    core: Part | optics.CoresBySite | None
    windows: int
    observed: bool = False
    attention: Attention = "digital"
    chosen_by: Machine | None = None
    ranged_on: np.ndarray | None = None


@dataclasses.dataclass(kw_only=True)
class Evaluation:
    """The result of one case.

    Attributes:
        windows: scores of each window.
        sites: figures of merit by site, of the first window; empty unless the case is observed.
        drives: mean drive by site, for a bill of the same model.
        mean_drive: mean drive over the MACs of all sites, for a bill of another model (see `optics.measured_drive`).
    """

    windows: list[WindowScores] = dataclasses.field(default_factory=list)
    sites: dict[str, SiteFigures] = dataclasses.field(default_factory=dict)
    drives: dict[str, float] = dataclasses.field(default_factory=dict)
    mean_drive: float | None = None


def observed_drive(result: Evaluation) -> float:
    """Return the mean drive of an observed case, over the MACs of all sites.

    Raises:
        ValueError: if the case was measured without diagnostics.
    """
    if result.mean_drive is None:
        raise ValueError("the case was measured without diagnostics, so its mean drive is unknown")
    return result.mean_drive
