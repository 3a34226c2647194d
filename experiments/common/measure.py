"""Evaluation of one language model under several cores on the same windows of text, with a cache of the results."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import models
import optics
from electronics import Part
from experiments.common.agreement import Agreement, agreement, scored
from experiments.common.result_cache import ResultCache
from experiments.common.workload import Attention, attention_policy, choices_of
from optics.core.by_site import Machine
from optics.datapath.diagnostics import Diagnostics
from optics.energy.light_budget import mean_drive

# Windows that a core runs before the next core is loaded. Their float32 logits are kept meanwhile, 100 MB each of 512
# tokens of SmolLM2.
_WINDOWS_PER_LOAD = 8


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
    """

    name: str
    core: Part | optics.CoresBySite | None
    windows: int
    observed: bool = False
    attention: Attention = "digital"
    chosen_by: Machine | None = None


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


def measure(
    checkpoint: models.Checkpoint, windows: np.ndarray, cases: Sequence[EvaluationCase], seed: int, cache_path: Path
) -> dict[str, Evaluation]:
    """Evaluate a model under each case and return the results by name of the case.

    Args:
        checkpoint: the model.
        windows: token ids [count, tokens].
        cases: the cores. The noise key of a window is the same for all of them.
        seed: seed of the noise.
        cache_path: SQLite file that each result is stored in as soon as it is computed. A later call with the same
            arguments reads it from there.
    """
    cache = ResultCache(cache_path, __name__)
    evaluator = _Evaluator(checkpoint, seed, cache)
    results = {case.name: Evaluation() for case in cases}
    with tqdm(total=sum(case.windows for case in cases), unit="window", desc="evaluating", smoothing=0.05) as bar:
        together = 1 if checkpoint.streamed else _WINDOWS_PER_LOAD
        for first in range(0, len(windows), together):
            block = [evaluator.window(*each) for each in enumerate(windows[first : first + together], first)]
            for case in cases:
                bar.set_postfix_str(case.name)
                evaluator.unload()
                for window in block[: max(case.windows - first, 0)]:
                    evaluator.add(results[case.name], case, window)
                    bar.update()
    cache.close()
    return results


class _Window:
    """One window, and its float32 logits from when they are first needed."""

    def __init__(self, number: int, tokens: np.ndarray, forward: Callable[[jax.Array], jax.Array]):
        self.number, self.tokens = number, jnp.asarray(tokens[None])
        self.text, self._forward = hashlib.sha256(tokens.tobytes()).hexdigest(), forward

    @cached_property
    def reference(self) -> jax.Array:
        """Float32 logits of the window."""
        return self._forward(self.tokens)


class _Programs(NamedTuple):
    """Loading a core, a run on it, and a run with diagnostics."""

    load: Callable[..., optics.PreloadedCore]
    emulated: Callable[..., Any]
    observed: Callable[..., Any]


class _Evaluator:
    """The model and the compiled functions that all cases share."""

    def __init__(self, checkpoint: models.Checkpoint, seed: int, cache: ResultCache):
        self.params, self.digest, self.cache = checkpoint.params, checkpoint.sha256, cache
        self.streamed, self.seed, self.key = checkpoint.streamed, seed, jax.random.key(seed)
        self.score = scored(checkpoint.forward)
        self.forward = jax.jit(checkpoint.forward)
        self.compare = jax.jit(agreement)
        self._programs: dict[tuple[str, ...], _Programs] = {}
        self._sites: tuple[optics.Site, ...] = ()
        self._choices: dict[str, tuple[str, ...]] = {}
        self.unload()

    def window(self, number: int, tokens: np.ndarray) -> _Window:
        return _Window(number, tokens, partial(self.forward, self.params))

    def unload(self) -> None:
        """Forget the weights on the mask of the last case."""
        self._loaded: optics.PreloadedCore | None = None

    def add(self, result: Evaluation, case: EvaluationCase, window: _Window) -> None:
        """Add the numbers of a window to a result, from the cache where it has them."""
        observe = case.observed and window.number == 0
        core = None if case.core is None else describe_core(case.core)
        description = [self.digest, window.text, self.seed, window.number, core, observe]
        if case.attention != "digital":
            description.append([case.attention, *self.choices(case, window)])
        record: WindowRecord = self.cache.get_or_compute(description, lambda: self._run(case, window, observe))
        result.windows.append(record["agreement"])
        if "sites" in record and "drives" in record and "mean_drive" in record:
            result.sites, result.drives, result.mean_drive = record["sites"], record["drives"], record["mean_drive"]

    def policy(self, case: EvaluationCase) -> optics.Policy:
        """Which products of the model a case puts on its core."""
        if not isinstance(case.core, Machine):
            return optics.stationary
        return attention_policy(case.chosen_by or case.core, case.attention)

    def sites(self, window: _Window) -> tuple[optics.Site, ...]:
        """The products of the model on one window, which is of the same length as any other."""
        self._sites = self._sites or self._traced(optics.stationary, window)
        return self._sites

    def choices(self, case: EvaluationCase, window: _Window) -> tuple[str, ...]:
        """What the policy of a case says of each product, nothing where attention is digital; priced once per case."""
        if case.attention == "digital":
            return ()
        if case.name not in self._choices:
            self._choices[case.name] = choices_of(self.policy(case), self.sites(window))
        return self._choices[case.name]

    def programs(self, case: EvaluationCase, window: _Window) -> "_Programs":
        """The compiled functions of a case, shared by all cases with the same products on their cores."""
        policy, choices = self.policy(case), self.choices(case, window)
        if choices not in self._programs:
            self._programs[choices] = _Programs(
                load=jax.jit(optics.load(self.score, policy=policy)),
                emulated=jax.jit(optics.emulate(self.score, policy=policy)),
                observed=jax.jit(optics.emulate(self.score, policy=policy, diagnostics=True)),
            )
        return self._programs[choices]

    def _traced(self, policy: optics.Policy, window: _Window) -> tuple[optics.Site, ...]:
        logits = jax.eval_shape(self.forward, self.params, window.tokens)
        return optics.trace(self.score, policy=policy)(self.params, window.tokens, logits)

    def _run(self, case: EvaluationCase, window: _Window, observe: bool) -> WindowRecord:
        core = case.core
        call = (self.params, window.tokens, window.reference)
        if core is None:
            return {"agreement": _scores(self.compare(window.reference, window.reference, window.tokens))}
        key, programs = jax.random.fold_in(self.key, window.number), self.programs(case, window)
        if not observe:
            # The masks of a streamed model are loaded layer by layer in each run, or all would be in memory.
            if self._loaded is None and not self.streamed and isinstance(core, Machine):
                self._loaded = programs.load(core, *call)
            return {"agreement": _scores(programs.emulated(self._loaded or core, key, *call))}
        score, diagnostics = programs.observed(core, key, *call)
        review = getattr(core, "review", None)
        if review is not None:
            # The diagnostics of a compiled run are concrete only outside it.
            policy = self.policy(case)
            sites = self.sites(window) if policy is optics.stationary else self._traced(policy, window)
            review(sites, diagnostics)
        return {
            "agreement": _scores(score),
            "sites": {name: _figures(seen) for name, seen in diagnostics.items()},
            "drives": {name: float(mean_drive(seen)) for name, seen in diagnostics.items()},
            "mean_drive": float(optics.measured_drive(diagnostics)),
        }


def describe_core(core: Part | optics.CoresBySite) -> list[Any]:
    """Return the structure and the numbers of a core, as the description of a cached result has them."""
    return [str(jax.tree.structure(core)), {name: np.asarray(value).tolist() for name, value in core.numbers().items()}]


def _figures(seen: Diagnostics) -> SiteFigures:
    return {
        "snr_db": _by_layer(seen.snr_db()),
        "enob_full_scale": _by_layer(seen.enob_full_scale()),
        "clip_rate": _by_layer(seen.clip_rate()),
        "rho": _by_layer(seen.rho()),
        "mean_drive": _by_layer(seen.mean_drive()),
    }


def _by_layer(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in np.ravel(values)]


def _scores(score: Agreement) -> WindowScores:
    return {"nll": float(score.nll), "top1": float(score.top1), "kl": float(score.kl)}
