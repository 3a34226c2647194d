"""Evaluation of one language model under several cores on the same windows of text, with a cache of the results."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import models
import optics
from electronics import Part
from experiments.common.result_cache import ResultCache
from experiments.common.workload import attention_policy, choices_of
from experiments.evaluation.agreement import Agreement, agreement, scored
from experiments.evaluation.fixed_ranges import fixed_ranges
from experiments.evaluation.price_numbers import is_price_only
from experiments.evaluation.records import Evaluation, EvaluationCase, SiteFigures, WindowRecord, WindowScores
from optics.core.by_site import Machine
from optics.datapath.diagnostics import Diagnostics
from optics.energy.light_budget import mean_drive

# Windows that a core runs before the next core is loaded. Their float32 logits are kept meanwhile, 100 MB each of 512
# tokens of SmolLM2.
_WINDOWS_PER_LOAD = 8


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
    with Evaluator(checkpoint, seed, cache_path) as evaluator:
        return evaluator.measure(checkpoint, windows, cases)


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
    """Finding the ranges of a core, loading it, a run on it, and a run with diagnostics."""

    ranges: Callable[..., dict[str, optics.SiteRange]]
    load: Callable[..., optics.PreloadedCore]
    emulated: Callable[..., Any]
    observed: Callable[..., Any]


class Evaluator:
    """Evaluation of several models against the float32 logits of one, with one cache of the results.

    Models of one shape share their compiled programs. To be used as a context, which closes the cache.

    Args:
        reference: the model whose float32 logits the others are compared with.
        seed: seed of the noise.
        cache_path: as of `measure`.
    """

    def __init__(self, reference: models.Checkpoint, seed: int, cache_path: Path):
        self.reference, self.seed, self.cache_path = reference, seed, cache_path
        self._forward = partial(jax.jit(reference.forward), reference.params)
        self._models: dict[Any, _Model] = {}

    def __enter__(self) -> "Evaluator":
        self.cache = ResultCache(self.cache_path, __name__)
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()

    def measure(
        self,
        checkpoint: models.Checkpoint,
        windows: np.ndarray,
        cases: Sequence[EvaluationCase],
        label: str = "",
        keep_bar: bool = True,
        numbered_from: int = 0,
    ) -> dict[str, Evaluation]:
        """Evaluate a model under each case and return the results by name of the case.

        Args:
            checkpoint: the model, which takes the tokens of the reference and gives logits over the same vocabulary.
            windows: token ids [count, tokens].
            cases: as of `measure`.
            label: what the progress bar says of the model.
            keep_bar: whether the finished bar stays on the screen.
            numbered_from: number of the first window. The noise of a window follows from its number, and only number 0
                is observed.
        """
        results = {case.name: Evaluation() for case in cases}
        run = _Run(self, self._model_of(checkpoint), checkpoint)
        with tqdm(total=sum(case.windows for case in cases), unit="window", smoothing=0.05, leave=keep_bar) as bar:
            bar.set_description_str(f"evaluating {label}".strip())
            together = 1 if checkpoint.streamed else _WINDOWS_PER_LOAD
            for first in range(0, len(windows), together):
                block = [
                    _Window(number, tokens, self._forward)
                    for number, tokens in enumerate(windows[first : first + together], numbered_from + first)
                ]
                for case in cases:
                    bar.set_postfix_str(case.name)
                    run.unload()
                    for window in block[: max(case.windows - first, 0)]:
                        run.add(results[case.name], case, window)
                        bar.update()
        return results

    def _model_of(self, checkpoint: models.Checkpoint) -> "_Model":
        shape = checkpoint.family.forward, checkpoint.config, jax.tree.structure(checkpoint.params)
        if shape not in self._models:
            self._models[shape] = _Model(checkpoint)
        return self._models[shape]


class _Model:
    """The compiled functions that all models of one shape share."""

    def __init__(self, checkpoint: models.Checkpoint):
        # Without the parameters, which would stay in memory.
        shape = dataclasses.replace(checkpoint, params={})
        self.score, self.forward = scored(shape.forward), jax.jit(shape.forward)
        self.compare = jax.jit(agreement)
        self.programs: dict[tuple[str, ...], _Programs] = {}
        self.sites: tuple[optics.Site, ...] = ()


class _Run:
    """One model under several cases."""

    def __init__(self, evaluator: Evaluator, model: _Model, checkpoint: models.Checkpoint):
        self.params, self.streamed, self.model = checkpoint.params, checkpoint.streamed, model
        self.cache, self.seed, self.key = evaluator.cache, evaluator.seed, jax.random.key(evaluator.seed)
        reference = evaluator.reference.sha256
        self.digests = [checkpoint.sha256] + ([reference] if reference != checkpoint.sha256 else [])
        self._choices: dict[str, tuple[str, ...]] = {}
        self._ranges: dict[str, dict[str, optics.SiteRange]] = {}
        self.unload()

    def unload(self) -> None:
        """Forget the weights on the mask of the last case."""
        self._loaded: optics.PreloadedCore | None = None

    def add(self, result: Evaluation, case: EvaluationCase, window: _Window) -> None:
        """Add the numbers of a window to a result, from the cache where it has them."""
        observe = case.observed and window.number == 0
        core = None if case.core is None else describe_core(case.core)
        description = [*self.digests, window.text, self.seed, window.number, core, observe]
        if case.attention != "digital":
            description.append([case.attention, *self.choices(case, window)])
        if case.ranged_on is not None:
            description.append(["ranges fixed on", hashlib.sha256(case.ranged_on.tobytes()).hexdigest()])
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
        self.model.sites = self.model.sites or self._traced(optics.stationary, window)
        return self.model.sites

    def choices(self, case: EvaluationCase, window: _Window) -> tuple[str, ...]:
        """What the policy of a case says of each product, nothing where attention is digital; priced once per case."""
        if case.attention == "digital":
            return ()
        if case.name not in self._choices:
            self._choices[case.name] = choices_of(self.policy(case), self.sites(window))
        return self._choices[case.name]

    def programs(self, case: EvaluationCase, window: _Window) -> "_Programs":
        """The compiled functions of a case, shared by all cases with the same products on their cores."""
        policy, choices, score = self.policy(case), self.choices(case, window), self.model.score
        if choices not in self.model.programs:
            self.model.programs[choices] = _Programs(
                ranges=jax.jit(partial(fixed_ranges, score, policy)),
                load=jax.jit(optics.load(score, policy=policy)),
                emulated=jax.jit(optics.emulate(score, policy=policy)),
                observed=jax.jit(optics.emulate(score, policy=policy, diagnostics=True)),
            )
        return self.model.programs[choices]

    def _ranged(self, case: EvaluationCase, window: _Window) -> Any:
        """The core of a case, with its ranges fixed where the case says so; they are found once for all its windows."""
        core, tokens = case.core, case.ranged_on
        if tokens is None or not isinstance(core, Machine):
            return core
        if case.name not in self._ranges:
            logits = jnp.zeros((*tokens.shape, window.reference.shape[-1]), jnp.float32)
            find = self.programs(case, window).ranges
            self._ranges[case.name] = find(core, self.key, self.params, jnp.asarray(tokens), logits)
        return optics.FixedRangeCore(core, self._ranges[case.name])

    def _traced(self, policy: optics.Policy, window: _Window) -> tuple[optics.Site, ...]:
        logits = jax.eval_shape(self.model.forward, self.params, window.tokens)
        return optics.trace(self.model.score, policy=policy)(self.params, window.tokens, logits)

    def _run(self, case: EvaluationCase, window: _Window, observe: bool) -> WindowRecord:
        core = self._ranged(case, window)
        call = (self.params, window.tokens, window.reference)
        if core is None:
            logits = window.reference if len(self.digests) == 1 else self.model.forward(self.params, window.tokens)
            return {"agreement": _scores(self.model.compare(logits, window.reference, window.tokens))}
        key, programs = jax.random.fold_in(self.key, window.number), self.programs(case, window)
        if not observe:
            # The masks of a streamed model are loaded layer by layer in each run, or all would be in memory.
            if self._loaded is None and not self.streamed and isinstance(case.core, Machine):
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


def describe_core(core: Part | optics.CoresBySite, price: bool = False) -> list[Any]:
    """Return the structure and the numbers of a core, as cached results are described.

    Args:
        core: the core.
        price: whether the numbers that only a price depends on are among them.
    """
    numbers = {name: value for name, value in core.numbers().items() if price or not is_price_only(name)}
    return [str(jax.tree.structure(core)), {name: np.asarray(value).tolist() for name, value in numbers.items()}]


def _figures(seen: Diagnostics) -> SiteFigures:
    return {
        "snr_db": _by_layer(seen.snr_db()),
        "enob_full_scale": _by_layer(seen.enob_full_scale()),
        "clip_rate": _by_layer(seen.clip_rate()),
        "rho": _by_layer(seen.rho()),
        "mean_drive": _by_layer(seen.mean_drive()),
        "crest_factor": _by_layer(seen.crest_factor()),
    }


def _by_layer(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in np.ravel(values)]


def _scores(score: Agreement) -> WindowScores:
    return {"nll": float(score.nll), "top1": float(score.top1), "kl": float(score.kl)}
