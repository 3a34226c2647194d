"""Inverse design of a core: watts and loss of one machine, descended together, and a grid to measure it by."""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import models
import optics
from experiments.common.agreement import scored
from experiments.common.measure import describe_core
from experiments.common.paired import standard_error
from experiments.common.result_cache import ResultCache
from experiments.common.verdict import TARGET_WATTS
from experiments.common.workload import Workload
from experiments.target.design_space import variant
from optics.analysis.axis import between
from optics.analysis.inverse import Knob, descend
from optics.energy.light_budget import photons_per_mac

KNOBS = {"clock": Knob(0.2e9, 5e9), "light_bits": Knob(5.5, 9.5, False), "enob": Knob(5.5, 11.0, False)}
START = {"clock": 1e9, "light_bits": 7.0, "enob": 8.0}
FRESH_KEYS = 8
RATE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Testbed:
    """The figure of merit ln(watts / 10 kW) + KL / `loss_scale` of variants of `core`, on one window of text.

    Watts are those of the workload at 1 exaOPS, KL [nats/token] that of the language model from its digital self, with
    one noise key: it is a function without noise, and as rough as rounding makes it.
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

    def descend(self, steps: int, rate: float) -> list[dict[str, Any]]:
        """The path of `steps` evaluations from the scenario's own clock, light and ADC."""
        with tqdm(total=steps, unit="step", desc="descending") as bar:
            path = descend(
                self._merit,
                KNOBS,
                START,
                *self._given,
                self._key(0),
                steps=steps,
                rate=rate,
                progress=lambda turns: _counted(turns, bar),
                kept=lambda hidden, run: self._kept(["step", hidden], run),
            )
        return [self._plain(step.values, step.merit, step.report) for step in path]

    def grid(self, points: int) -> list[dict[str, Any]]:
        """The figure of merit on points^3 cores, evenly spaced over the same bounds."""
        shares = np.linspace(0, 1, points)
        axes = [[float(between(*knob, share)) for share in shares] for knob in KNOBS.values()]
        cores = [dict(zip(KNOBS, values, strict=True)) for values in itertools.product(*axes)]
        return [
            self._kept(["grid", core], lambda core=core: self._evaluated(core, 0))
            for core in tqdm(cores, unit="core", desc="grid", smoothing=0.05)
        ]

    def again(self, core: Mapping[str, float], keys: int = FRESH_KEYS) -> dict[str, Any]:
        """The mean figure of merit of one core over noise that no search has seen."""
        core = {name: core[name] for name in KNOBS}
        found = [
            self._kept(["again", core, number], lambda number=number: self._evaluated(core, number))
            for number in range(1, keys + 1)
        ]
        merits = np.array([each["merit"] for each in found])
        return {
            "merit": float(np.mean(merits)),
            "merit_stderr": standard_error(merits),
            "kl": float(np.mean([each["kl"] for each in found])),
            "keys": keys,
        }

    def _merit(self, values: Mapping[str, Any], params: Any, tokens: Any, reference: Any, key: Any):
        core = variant(self.core, values["light_bits"], values["enob"], values["clock"])
        watts = self.workload.price(core).watts_at()
        kl = optics.emulate(scored(self.checkpoint.forward))(core, key, params, tokens, reference).kl
        report = {"watts": watts, "kl": kl, "photons_per_mac": photons_per_mac(core)}
        return jnp.log(watts / TARGET_WATTS) + kl / self.loss_scale, report

    @cached_property
    def _evaluate(self) -> Any:
        return jax.jit(self._merit)

    @cached_property
    def _given(self) -> tuple[Any, jax.Array, jax.Array]:
        tokens = jnp.asarray(self.tokens[None])
        reference = jax.jit(self.checkpoint.forward)(self.checkpoint.params, tokens)
        return self.checkpoint.params, tokens, reference

    def _key(self, number: int) -> jax.Array:
        return jax.random.fold_in(jax.random.key(self.seed), number)

    def _evaluated(self, core: Mapping[str, float], number: int) -> dict[str, Any]:
        merit, report = self._evaluate(core, *self._given, self._key(number))
        return self._plain(core, merit, report)

    @staticmethod
    def _plain(values: Mapping[str, Any], merit: Any, report: Mapping[str, Any]) -> dict[str, Any]:
        return {name: float(value) for name, value in {**values, "merit": merit, **report}.items()}

    def _kept(self, what: list[Any], run: Any) -> Any:
        """The result from the cache, or computed and put there."""
        description = [
            what,
            self.checkpoint.sha256,
            hashlib.sha256(self.tokens.tobytes()).hexdigest(),
            self.seed,
            self.loss_scale,
            str(self.workload),
            str(self.workload.config),
            describe_core(self.core),
        ]
        return self.cache.get_or_compute(description, run)


def search(bench: Testbed, steps: int, grid_points: int | None) -> dict[str, Any]:
    """The descent, and where `grid_points` is given the grid beside it; the best of each on fresh noise."""
    path = bench.descend(steps, RATE)
    best = min(path, key=lambda point: point["merit"])
    found: dict[str, Any] = {
        "loss_scale": bench.loss_scale,
        "tokens": len(bench.tokens),
        "path": path,
        "best": {**best, "on_fresh_noise": bench.again(best)},
        "evaluations": steps,
    }
    if grid_points is not None:
        cores = bench.grid(grid_points)
        top = min(cores, key=lambda point: point["merit"])
        found["grid"] = {"evaluations": len(cores), "best": {**top, "on_fresh_noise": bench.again(top)}}
    return found


def _counted(turns: Any, bar: tqdm) -> Any:
    for turn in turns:
        yield turn
        bar.update()
