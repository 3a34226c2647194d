"""The map of the target: measured accuracy on a grid, watts between its points, the cheapest cores, a descent."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import models
import optics
from experiments.common.result_cache import ResultCache
from experiments.common.verdict import Candidate
from experiments.common.workload import Workload
from experiments.evaluation.measure import measure
from experiments.evaluation.paired import digital_cases, paired_loss
from experiments.evaluation.records import Evaluation, EvaluationCase
from experiments.target.descent import Testbed, search
from experiments.target.design_space import IMPERFECTIONS, Axes, DesignSpace, front, variant
from experiments.target.records import AccuracyMap, CheapestCore, Descent

DESCENT_TOKENS = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapMeasurement:
    """Measures the map of a candidate on windows [count, tokens]; results are kept in the file `kept`."""

    candidate: Candidate
    workload: Workload
    axes: Axes
    checkpoint: models.Checkpoint
    windows: np.ndarray
    seed: int
    kept: Path

    def measure(self, w8a8_kl: float, accepted: float) -> tuple[AccuracyMap, DesignSpace]:
        """Measure the map.

        Args:
            w8a8_kl: KL of the model in 8-bit integers [nats/token].
            accepted: delta NLL over float32, and over 8-bit integers, up to which a core is acceptable [nats/token].

        Returns:
            The map as the summary states it, and the design space to interpolate in.
        """
        space = DesignSpace(self.candidate.single, self.axes, self.workload)
        results = self._results([*space.cases(len(self.windows)), *self._clock_cases()])
        exact = results["digital_fp32"]
        space.fill(results, exact)
        level = space.nll_per_kl * w8a8_kl
        return {
            "scenario": self.candidate.name,
            "axes": {name: list(values) for name, values in dataclasses.asdict(self.axes).items()},
            "windows": len(self.windows),
            "points": space.points,
            "nll_per_kl": space.nll_per_kl,
            "nll_per_kl_fitted": space.nll_per_kl_fitted,
            "nll_per_kl_stderr": space.nll_per_kl_stderr,
            "w8a8_delta_nll_from_kl": level,
            "cheapest": self._cheapest(space, {"fp32": accepted, "W8A8": level + accepted}),
            "least_loss": {how: space.least_loss(how) for how in IMPERFECTIONS},
            "clocks": [
                {"clock_hz": clock, **paired_loss(results[_clock_name(clock)], exact)} for clock in self.axes.clocks
            ],
            "fronts": {how: front([p for p in space.points if p["imperfections"] == how]) for how in IMPERFECTIONS},
        }, space

    def descend(self, steps: int, loss_scale: float, grid_points: int | None) -> Descent:
        """Descend from the candidate's own clock, light and ADC, on the first tokens of the last window."""
        cache = ResultCache(self.kept, Testbed.__module__)
        testbed = Testbed(
            core=self.candidate.single,
            workload=self.workload,
            checkpoint=self.checkpoint,
            tokens=self.windows[-1][:DESCENT_TOKENS],
            seed=self.seed,
            loss_scale=loss_scale,
            cache=cache,
        )
        descent = search(testbed, steps, grid_points)
        cache.close()
        return descent

    def _results(self, cases: list[EvaluationCase]) -> Mapping[str, Evaluation]:
        fp32 = digital_cases(len(self.windows))[0]
        return measure(self.checkpoint, self.windows, [fp32, *cases], self.seed, self.kept)

    def _cheapest(self, space: DesignSpace, limits: Mapping[str, float]) -> list[CheapestCore]:
        """Return the cheapest core within each limit, by interpolation, with its loss as measured."""
        entries: list[CheapestCore] = [
            {"over": over, "most": most, "imperfections": how, "core": space.cheapest(how, most)}
            for over, most in limits.items()
            for how in IMPERFECTIONS
        ]
        interpolated = {
            f"cheapest near {entry['over']}, imperfections {entry['imperfections']}": (entry["imperfections"], core)
            for entry in entries
            if (core := entry["core"]) is not None
        }
        cases = []
        for name, (imperfections, at) in interpolated.items():
            base = space.cores[at["size"], imperfections]
            core = variant(base, at["light_bits"], at["enob"], at["clock_hz"])
            cases.append(self._case(name, core, space.of_size(at["size"])))
        results = self._results(cases) if cases else {}
        for name, (_, at) in interpolated.items():
            at["measured"] = paired_loss(results[name], results["digital_fp32"])
        return entries

    def _clock_cases(self) -> list[EvaluationCase]:
        """Return the core in the middle of the map at each clock; the map itself is measured at one clock."""
        bits, enob = (values[len(values) // 2] for values in (self.axes.light_bits, self.axes.enob))
        return [
            self._case(_clock_name(clock), variant(self.candidate.single, bits, enob, clock), self.candidate.single)
            for clock in self.axes.clocks
        ]

    def _case(self, name: str, core: optics.TensorCore, chosen_by: optics.TensorCore) -> EvaluationCase:
        return EvaluationCase(
            name=name,
            core=core,
            windows=len(self.windows),
            attention=self.workload.attention,
            chosen_by=chosen_by,
        )


def _clock_name(clock: float) -> str:
    return f"clock {clock:g} Hz"
