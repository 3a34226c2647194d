"""The search on a problem of closed form: against its optimum, a random search, and itself."""

import numpy as np
import pytest

from experiments.verdict.search import (
    TRADE_OFFS,
    Problem,
    Trial,
    best_designs,
    best_merit,
    front_of,
    random_search,
    search,
)
from experiments.verdict.space import PLACES, shares_of, structures, turned

STRUCTURES = structures((1024, 2048), (1, 4), PLACES, ("",))
OF_ATTENTION = {"digital": (0.0, 6.0), "half": (0.01, 4.0), "most": (0.02, 2.4), "light": (0.03, 2.0)}
EVALUATIONS = 48


def kl(number, shares):
    """Noise of light, converters and clipping, each with the exponent that it has in a core."""
    at = turned(shares)
    light, converter = 0.1 * 4.0 ** (7 - at["light_bits"]), 0.06 * 4.0 ** (8 - at["enob"]) * (at["loading"] / 14) ** 2
    clipping, inputs = 0.5 * np.exp(-at["loading"] / 3), 0.05 * 4.0 ** (7 - at["dac_enob"])
    late = 0.02 * (at["clock"] / 2e9) ** 2
    return float(0.03 + light + converter + clipping + inputs + late + OF_ATTENTION[STRUCTURES[number].attention][0])


def watts(number, shares):
    at, structure = turned(shares), STRUCTURES[number]
    light = 3 * 4.0 ** (at["light_bits"] - 7) * 1e9 / at["clock"]
    conversions = 2048 / structure.rows / structure.accumulate * 2.0 ** (at["enob"] - 8) * (1 + at["clock"] / 5e9)
    inputs = 1024 / structure.columns * 2.0 ** (at["dac_enob"] - 7.5)
    return 1e3 * (1.5 + light + conversions + inputs + OF_ATTENTION[structure.attention][1])


PROBLEM = Problem(STRUCTURES, watts, kl)


# Chance: over 200 seeds the search was never behind a random one of equal cost, whose least lead was 0.2.
@pytest.mark.parametrize("seed", [0, 1])
def test_search_beats_a_random_one_of_equal_cost_and_repeats_itself(seed):
    found, random = search(PROBLEM, EVALUATIONS, seed), random_search(PROBLEM, EVALUATIONS, seed)
    assert len(found) == len(random) == EVALUATIONS
    assert best_merit(found) < best_merit(random) - 0.1
    assert search(PROBLEM, EVALUATIONS, seed) == found


def test_search_comes_near_the_optimum():
    """Against 200,000 random designs, whose best is below what 48 evaluations can know."""
    draws = np.random.default_rng(0)
    numbers, shares = draws.integers(len(STRUCTURES), size=200_000), draws.random((200_000, 5))
    least = dict.fromkeys(TRADE_OFFS, np.inf)
    for number in range(len(STRUCTURES)):
        of_structure = shares[numbers == number]
        losses = np.array([kl(number, each) for each in of_structure[:2000]])
        for trade_off in TRADE_OFFS:
            merit = np.log(watts(number, of_structure[:2000])) + losses / trade_off
            least[trade_off] = min(least[trade_off], float(np.min(merit)))
    optimum = float(np.mean(list(least.values())))
    assert np.mean([best_merit(search(PROBLEM, EVALUATIONS, seed)) for seed in range(3)]) < optimum + 0.3


def test_front_holds_what_no_other_trial_beats():
    trials = [Trial(0, (0.0,), w, k) for w, k in ((3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (2.5, 2.5), (4.0, 1.5))]
    assert [(trial.watts, trial.kl) for trial in front_of(trials)] == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]


def test_shares_and_knobs_are_inverse():
    shares = np.random.default_rng(0).random(5)
    assert shares_of(turned(shares)) == pytest.approx(shares)
    assert shares_of({**turned(shares), "clock": 1e12})[3] == 1.0


def test_best_designs_are_those_of_least_merit_each_once():
    """ln W + KL / s: 10 at a KL of 0.02 is best for s up to 0.1 and 1 at 0.3 for 0.2; 5 at 0.3 never is."""
    trials = [Trial(0, (0.1,), 1.0, 0.3), Trial(1, (0.2,), 5.0, 0.3), Trial(2, (0.3,), 10.0, 0.02)]
    assert [(number, shares.tolist()) for number, shares in best_designs(trials)] == [(2, [0.3]), (0, [0.1])]
    assert best_designs([]) == []


def test_search_with_starts_measures_them_first_and_ends_no_worse():
    known = search(PROBLEM, EVALUATIONS, 0)
    starts = best_designs(known)
    found = search(PROBLEM._replace(starts=starts), EVALUATIONS, 1)
    assert [(trial.structure, trial.knobs) for trial in found[: len(starts)]] == [
        (number, tuple(shares)) for number, shares in starts
    ]
    assert best_merit(found) <= best_merit(known)
