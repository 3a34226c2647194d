"""Inverse design of a core: descent on watts and loss together, and a grid search to compare it with."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import models
import optics
from experiments.common.result_cache import ResultCache
from experiments.common.verdict import TARGET_WATTS
from experiments.common.workload import Workload, attention_policy
from experiments.evaluation.agreement import scored
from experiments.evaluation.measure import describe_core
from experiments.evaluation.paired import standard_error
from experiments.target.design_space import variant
from experiments.target.records import BestCore, Descent, EvaluatedCore, FreshMerit
from optics.analysis.axis import between
from optics.analysis.inverse import Knob, descend
from optics.energy.light_budget import photons_per_mac

KNOBS = {"clock": Knob(0.2e9, 5e9), "light_bits": Knob(5.5, 9.5, False), "enob": Knob(5.5, 11.0, False)}
START = {"clock": 1e9, "light_bits": 7.0, "enob": 8.0}
FRESH_KEYS = 8
RATE = 0.5

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Testbed:
    """Figure of merit ln(watts / 10 kW) + KL / `loss_scale` of variants of `core`, on one window of text.

    Watts are those of the workload at 1 exaOPS. KL [nats/token] is the divergence of the emulated language model from
    the digital one under a fixed noise key, so the figure of merit is deterministic; rounding makes it uneven.
    """

    core: optics.TensorCore
    workload: Workload
    checkpoint: models.Checkpoint
    tokens: np.ndarray
    seed: int
    loss_scale: float
    cache: ResultCache

    def __post_init__(self) -> None:
        if self.loss_scale <= 0:
            raise ValueError(f"loss_scale = {self.loss_scale} nats must be above 0")

    def descend(self, steps: int, rate: float) -> list[EvaluatedCore]:
        """Return the path of `steps` evaluations from the scenario's own clock, light and ADC."""
        with tqdm(total=steps, unit="step", desc="descending") as bar:
            path = descend(
                self._merit,
                KNOBS,
                START,
                *self._model_inputs,
                self._key(0),
                steps=steps,
                rate=rate,
                progress=lambda turns: _with_progress(turns, bar),
                kept=lambda hidden, run: self._kept(["step", hidden], run),
            )
        return [_evaluated_core(step.values, step.merit, step.report) for step in path]

    def grid(self, points: int) -> list[EvaluatedCore]:
        """Return the figure of merit of points^3 cores, evenly spaced over the same bounds."""
        shares = np.linspace(0, 1, points)
        axes = [[float(between(*knob, share)) for share in shares] for knob in KNOBS.values()]
        cores = [dict(zip(KNOBS, values, strict=True)) for values in itertools.product(*axes)]
        return [
            self._kept(["grid", core], lambda core=core: self._evaluate(core, 0))
            for core in tqdm(cores, unit="core", desc="grid", smoothing=0.05)
        ]

    def on_fresh_noise(self, core: EvaluatedCore, keys: int = FRESH_KEYS) -> FreshMerit:
        """Return the mean figure of merit of one core over noise keys that no search has used."""
        knobs = {"clock": core["clock"], "light_bits": core["light_bits"], "enob": core["enob"]}
        evaluations: list[EvaluatedCore] = [
            self._kept(["again", knobs, number], lambda number=number: self._evaluate(knobs, number))
            for number in range(1, keys + 1)
        ]
        merits = np.array([each["merit"] for each in evaluations])
        return {
            "merit": float(np.mean(merits)),
            "merit_stderr": standard_error(merits),
            "kl": float(np.mean([each["kl"] for each in evaluations])),
            "keys": keys,
        }

    def _merit(self, values: Mapping[str, Any], params: Any, tokens: Any, reference: Any, key: Any):
        core = variant(self.core, values["light_bits"], values["enob"], values["clock"])
        watts = self.workload.price(core, chosen_by=self.core).watts_at()
        policy = attention_policy(self.core, self.workload.attention)
        run = optics.emulate(scored(self.checkpoint.forward), policy=policy)
        kl = run(core, key, params, tokens, reference).kl
        report = {"watts": watts, "kl": kl, "photons_per_mac": photons_per_mac(core)}
        return jnp.log(watts / TARGET_WATTS) + kl / self.loss_scale, report

    @cached_property
    def _compiled_merit(self) -> Any:
        return jax.jit(self._merit)

    @cached_property
    def _model_inputs(self) -> tuple[Any, jax.Array, jax.Array]:
        tokens = jnp.asarray(self.tokens[None])
        reference = jax.jit(self.checkpoint.forward)(self.checkpoint.params, tokens)
        return self.checkpoint.params, tokens, reference

    def _key(self, number: int) -> jax.Array:
        return jax.random.fold_in(jax.random.key(self.seed), number)

    def _evaluate(self, knobs: Mapping[str, float], number: int) -> EvaluatedCore:
        merit, report = self._compiled_merit(knobs, *self._model_inputs, self._key(number))
        return _evaluated_core(knobs, merit, report)

    def _kept(self, what: list[Any], run: Any) -> Any:
        """Return the result from the cache, computing and storing it first where it is absent."""
        description = [
            what,
            self.checkpoint.sha256,
            hashlib.sha256(self.tokens.tobytes()).hexdigest(),
            self.seed,
            self.loss_scale,
            str(self.workload),
            str(self.workload.config),
            # The figure of merit has the watts, so every number counts.
            describe_core(self.core, price=True),
        ]
        return self.cache.get_or_compute(description, run)


def search(testbed: Testbed, steps: int, grid_points: int | None) -> Descent:
    """Run the descent and, where `grid_points` is given, the grid; evaluate the best of each on fresh noise."""
    path = testbed.descend(steps, RATE)
    descent: Descent = {
        "loss_scale": testbed.loss_scale,
        "tokens": len(testbed.tokens),
        "path": path,
        "best": _best(testbed, path),
        "evaluations": steps,
    }
    if grid_points is not None:
        cores = testbed.grid(grid_points)
        descent["grid"] = {"evaluations": len(cores), "best": _best(testbed, cores)}
    return descent


def _best(testbed: Testbed, cores: Iterable[EvaluatedCore]) -> BestCore:
    best = min(cores, key=lambda core: core["merit"])
    return {**best, "on_fresh_noise": testbed.on_fresh_noise(best)}


def _evaluated_core(knobs: Mapping[str, Any], merit: Any, report: Mapping[str, Any]) -> EvaluatedCore:
    return {
        "clock": float(knobs["clock"]),
        "light_bits": float(knobs["light_bits"]),
        "enob": float(knobs["enob"]),
        "merit": float(merit),
        "watts": float(report["watts"]),
        "kl": float(report["kl"]),
        "photons_per_mac": float(report["photons_per_mac"]),
    }


def _with_progress(items: Iterable[_Item], bar: tqdm) -> Iterator[_Item]:
    for item in items:
        yield item
        bar.update()
