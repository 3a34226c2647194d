"""A seeded search over structures and knobs for least watts and loss together, and a random one to compare it with.

The search knows the watts of every design, which are cheap, and measures losses, which are not. It fits ln KL over the
designs measured so far, those of other models among them, by `surrogate.Surrogate`, and measures next the candidate of
least ln W + KL / s, for trade-offs s in turn, with ln KL by `OPTIMISM` standard deviations below what is expected.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import qmc
from tqdm import tqdm

from experiments.plotting.pareto import pareto
from experiments.verdict.space import KNOBS, Structure
from experiments.verdict.surrogate import Places, Surrogate

TRADE_OFFS = (0.02, 0.05, 0.1, 0.2)
"""Losses [nats per token of KL] that count like a factor e in watts."""
FIRST_SHARE = 0.35
"""Share of the evaluations that are spread over the space before the first fit."""
OPTIMISM = 0.5
"""Standard deviations of ln KL by which a design is taken to be better than expected: what is unknown is explored."""
MOST_ON_FRONT = 6
"""Designs of a front that are run on held-out text."""
CANDIDATES = 1024
"""Random designs, and designs near the best ones, that the fit is asked for at each step, of each kind."""
NEAR = 0.12
"""Standard deviation of the steps to designs near the best ones, as a share of the range of each knob."""
CLOSEST = 0.02
"""Least distance to a design of the same structure that was measured."""


class Trial(NamedTuple):
    """A design that was measured. knobs: shares of their ranges."""

    structure: int
    knobs: tuple[float, ...]
    watts: float
    kl: float


Watts = Callable[[int, np.ndarray], np.ndarray]
Loss = Callable[[int, np.ndarray], float]


class Problem(NamedTuple):
    """What is searched.

    Attributes:
        structures: that designs are chosen from.
        watts: (number of the structure, shares of knobs [designs, knobs]) -> watts at 1 exaOPS [designs].
        loss: (number of the structure, shares of knobs [knobs]) -> KL [nats per token].
        starts: designs (number of the structure, shares of knobs) that are measured first.
        known: trials of other models, a sequence for each.
    """

    structures: Sequence[Structure]
    watts: Watts
    loss: Loss
    starts: Sequence[tuple[int, np.ndarray]] = ()
    known: Sequence[Sequence[Trial]] = ()


def merits(trials: Sequence[Trial], trade_off: float) -> np.ndarray:
    """Return ln W + KL / s of trials."""
    return np.array([np.log(trial.watts) + trial.kl / trade_off for trial in trials])


def best_merit(trials: Sequence[Trial]) -> float:
    """Return the least ln W + KL / s, averaged over the trade-offs; a difference of 0.1 is a tenth of the watts."""
    return float(np.mean([np.min(merits(trials, trade_off)) for trade_off in TRADE_OFFS]))


def best_designs(trials: Sequence[Trial]) -> list[tuple[int, np.ndarray]]:
    """Return the designs (number of the structure, shares of knobs) of least merit, one or fewer for each trade-off."""
    places = dict.fromkeys(int(np.argmin(merits(trials, trade_off))) for trade_off in TRADE_OFFS) if trials else {}
    return [(trials[place].structure, np.array(trials[place].knobs)) for place in places]


def front_of(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that no other one beats in watts and KL, by rising watts."""
    places = pareto(np.array([trial.watts for trial in trials]), np.array([trial.kl for trial in trials]))
    return [trials[place] for place in places]


def spread(trials: Sequence[Trial], most: int = MOST_ON_FRONT) -> list[Trial]:
    """Return at most so many of a sequence of trials, its first and last and others evenly between them."""
    places = np.unique(np.linspace(0, len(trials) - 1, min(len(trials), most)).round().astype(int))
    return [trials[place] for place in places]


def random_search(problem: Problem, evaluations: int, seed: int) -> list[Trial]:
    """Return trials of designs that are spread evenly over structures and knobs, after the starts."""
    return _measured(problem, [*problem.starts, *_spread(problem, evaluations, seed)][:evaluations])


def search(problem: Problem, evaluations: int, seed: int) -> list[Trial]:
    """Return the trials of a search, in their order.

    Args:
        problem: what is searched.
        evaluations: number of losses that are measured.
        seed: of all that is random in it.
    """
    first = min(max(int(FIRST_SHARE * evaluations), len(problem.starts) + 2), evaluations)
    trials = random_search(problem, first, seed)
    draws = np.random.default_rng([seed, 1])
    while len(trials) < evaluations:
        trade_off = TRADE_OFFS[len(trials) % len(TRADE_OFFS)]
        trials += _measured(problem, [_next(problem, trials, trade_off, draws)])
    return trials


def _spread(problem: Problem, count: int, seed: int) -> list[tuple[int, np.ndarray]]:
    points = qmc.Halton(len(KNOBS) + 1, rng=seed).random(count)
    number = np.minimum((points[:, 0] * len(problem.structures)).astype(int), len(problem.structures) - 1)
    return list(zip(number.tolist(), points[:, 1:], strict=True))


def _measured(problem: Problem, designs: Sequence[tuple[int, np.ndarray]]) -> list[Trial]:
    return [
        Trial(
            number,
            tuple(map(float, knobs)),
            float(problem.watts(number, np.asarray(knobs)[None])[0]),
            problem.loss(number, np.asarray(knobs)),
        )
        for number, knobs in designs
    ]


def _next(
    problem: Problem, trials: Sequence[Trial], trade_off: float, draws: np.random.Generator
) -> tuple[int, np.ndarray]:
    """Return the design to be measured next."""
    count, known = len(problem.structures), np.array([trial.knobs for trial in trials])
    numbers, knobs = draws.integers(count, size=CANDIDATES), draws.random((CANDIDATES, len(KNOBS)))
    order = np.argsort(merits(trials, trade_off))[:4]
    parents = order[draws.integers(len(order), size=CANDIDATES)]
    near = np.clip(known[parents] + NEAR * draws.normal(size=knobs.shape), 0, 1)
    own = np.array([trials[parent].structure for parent in parents])
    moved = np.where(draws.random(CANDIDATES) < 0.3, draws.integers(count, size=CANDIDATES), own)
    numbers, knobs = np.concatenate([numbers, moved]), np.concatenate([knobs, near])
    expected, error = _fit(problem, trials).at(_places(problem, numbers, knobs, np.zeros(len(numbers))))
    watts = np.empty(len(numbers))
    for number in np.unique(numbers):
        watts[numbers == number] = problem.watts(int(number), knobs[numbers == number])
    merit = np.log(watts) + np.exp(np.minimum(expected - OPTIMISM * error, 5.0)) / trade_off
    merit[_is_known(trials, numbers, knobs)] = np.inf
    best = int(np.argmin(merit))
    return int(numbers[best]), knobs[best]


def _places(problem: Problem, numbers: np.ndarray, knobs: np.ndarray, models: np.ndarray) -> Places:
    of_structures = np.array([structure.features() for structure in problem.structures])
    return Places(knobs, of_structures[numbers], models)


def _fit(problem: Problem, trials: Sequence[Trial]) -> Surrogate:
    """Fit the trials of the model that is searched, number 0, and those of the others."""
    every = [(model, trial) for model, own in enumerate((trials, *problem.known)) for trial in own]
    models, measured = np.array([model for model, _ in every]), [trial for _, trial in every]
    numbers = np.array([trial.structure for trial in measured])
    knobs = np.array([trial.knobs for trial in measured])
    return Surrogate(_places(problem, numbers, knobs, models), np.log([max(trial.kl, 1e-6) for trial in measured]))


def _is_known(trials: Sequence[Trial], numbers: np.ndarray, knobs: np.ndarray) -> np.ndarray:
    found = np.zeros(len(numbers), bool)
    for trial in trials:
        found |= (numbers == trial.structure) & (np.max(np.abs(knobs - np.array(trial.knobs)), axis=1) < CLOSEST)
    return found


def apart(one: Structure, other: Structure) -> int:
    """Number of choices by which two structures differ; rows and columns are one."""
    choices = ("accumulate", "attention", "mask", "ranges", "encoding")
    sizes = (one.rows, one.columns) != (other.rows, other.columns)
    return sizes + sum(getattr(one, name) != getattr(other, name) for name in choices)


def near(one: Structure, structures: Sequence[Structure]) -> list[Structure]:
    """Return the structures that differ from one in a single choice."""
    return [each for each in structures if apart(each, one) == 1]


def counted(loss: Loss, bar: tqdm, number: int, shares: np.ndarray) -> float:
    """Measure a loss and count it on a bar."""
    value = loss(number, shares)
    bar.update()
    return value
