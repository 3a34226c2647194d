"""Running one model under several cores over the same windows: each result is kept as soon as it is there."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import models
import optics
from electronics import Part
from experiments.common.agreement import agreement, scored
from experiments.common.result_cache import ResultCache
from optics.datapath.diagnostics import Diagnostics
from optics.energy.light_budget import mean_drive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One machine under test: `core` emulates it (None: plain float32), on the first `windows` windows.

    With `observed`, the first window is run with diagnostics as well.
    """

    name: str
    core: Part | None
    windows: int
    observed: bool = False


@dataclasses.dataclass(kw_only=True)
class Result:
    """What one case gave: an `Agreement` as a dict for each window, and the readings of each site and layer.

    drives: mean drive by site, for a bill of the same model; mean_drive: over the MACs of all sites, for a bill of
    another one (see `optics.measured_drive`).
    """

    windows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    sites: dict[str, dict[str, list[float | None]]] = dataclasses.field(default_factory=dict)
    drives: dict[str, float] = dataclasses.field(default_factory=dict)
    mean_drive: float | None = None


def measure(
    checkpoint: models.Checkpoint, windows: np.ndarray, cases: Sequence[Case], seed: int, cache_path: Path
) -> dict[str, Result]:
    """Results by case name. windows [count, tokens]; the noise key of a window is the same for all cases.

    Each result goes to the file `cache_path` as soon as it is there, and is taken from it in another run.
    """
    cache = ResultCache(cache_path, __name__)
    bench = _Bench(checkpoint, seed, cache)
    results = {case.name: Result() for case in cases}
    with tqdm(total=sum(case.windows for case in cases), unit="window", desc="evaluating", smoothing=0.05) as bar:
        for number in range(len(windows)):
            bench.open(number, windows[number])
            for case in cases:
                if number < case.windows:
                    bar.set_postfix_str(case.name)
                    bench.add(results[case.name], case)
                    bar.update()
    cache.close()
    return results


class _Bench:
    """The model and the compiled functions that all cases share, at one window at a time."""

    def __init__(self, checkpoint: models.Checkpoint, seed: int, cache: ResultCache):
        self.params, self.digest, self.cache = checkpoint.params, checkpoint.sha256, cache
        self.seed, self.key = seed, jax.random.key(seed)
        score = scored(checkpoint.forward)
        self.forward = jax.jit(checkpoint.forward)
        self.compare = jax.jit(agreement)
        self.emulated = jax.jit(optics.emulate(score))
        self.observed = jax.jit(optics.emulate(score, diagnostics=True))

    def open(self, number: int, tokens: np.ndarray) -> None:
        """Goes to a window; its fp32 logits are computed when they are first needed."""
        self.number, self.tokens, self._reference = number, jnp.asarray(tokens[None]), None
        self.text = hashlib.sha256(tokens.tobytes()).hexdigest()

    def add(self, result: Result, case: Case) -> None:
        """Adds this window's numbers to a result, from the cache if they are there."""
        observe = case.observed and self.number == 0
        core = None if case.core is None else described(case.core)
        description = [self.digest, self.text, self.seed, self.number, core, observe]
        found = self.cache.get_or_compute(description, lambda: self._run(case.core, observe))
        result.windows.append(found["agreement"])
        if observe:
            result.sites, result.drives, result.mean_drive = (found[n] for n in ("sites", "drives", "mean_drive"))

    def _run(self, core: Part | None, observe: bool) -> dict[str, Any]:
        if core is None:
            return {"agreement": _plain(self.compare(self.reference, self.reference, self.tokens)._asdict())}
        args = (core, jax.random.fold_in(self.key, self.number), self.params, self.tokens, self.reference)
        if not observe:
            return {"agreement": _plain(self.emulated(*args)._asdict())}
        score, readings = self.observed(*args)
        if hasattr(core, "review"):
            # The readings of a compiled run can be looked at only here.
            core.review([], readings)
        return {
            "agreement": _plain(score._asdict()),
            "sites": {name: _figures(seen) for name, seen in readings.items()},
            "drives": {name: float(mean_drive(seen)) for name, seen in readings.items()},
            "mean_drive": float(optics.measured_drive(readings)),
        }

    @property
    def reference(self) -> jax.Array:
        """fp32 logits of the window."""
        if self._reference is None:
            self._reference = self.forward(self.params, self.tokens)
        return self._reference


def _figures(seen: Diagnostics) -> dict[str, list[float | None]]:
    """Figures of merit of a site, one for each layer it ran in; None where one is infinite, as an exact core's SNR."""
    figures = {
        "snr_db": seen.snr_db(),
        "enob_full_scale": seen.enob_full_scale(),
        "clip_rate": seen.clip_rate(),
        "rho": seen.rho(),
        "mean_drive": seen.mean_drive(),
    }
    return {name: [float(v) if np.isfinite(v) else None for v in np.ravel(value)] for name, value in figures.items()}


def described(core: Part) -> list[Any]:
    """A core as the description of a cached result has it: its structure and its numbers."""
    return [str(jax.tree.structure(core)), _plain(core.numbers())]


def _plain(numbers: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}
