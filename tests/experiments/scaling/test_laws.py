"""Laws in the size: least squares and intervals against SciPy and against draws, and the rule that decides.

Draws are fixed. Were they not, a right program would fail the coverage with probability below 1e-4: it is four standard
deviations of a binomial from its expectation.
"""

import numpy as np
import pytest
from scipy import stats

from experiments.scaling import laws
from experiments.scaling.fit import CONFIDENCE, WIDEST, Prediction, fitted, judged, predicted


def test_law_of_one_size_is_that_of_linear_regression():
    noise = np.random.default_rng(0)
    x = np.geomspace(1, 300, 6)
    y = 0.3 * x**-0.4 * np.exp(0.2 * noise.normal(size=6))
    expected = stats.linregress(np.log(x), np.log(y))
    law = fitted(x[:, None], y)
    assert law.coefficients == pytest.approx([expected.intercept, expected.slope])
    errors = [expected.intercept_stderr, expected.stderr]
    assert np.sqrt(np.diag(law.covariance)) == pytest.approx(errors)
    # The interval of one further measurement, by its textbook form.
    at, logs = np.log(5000.0), np.log(x)
    spread = law.residual * np.sqrt(1 + 1 / 6 + (at - logs.mean()) ** 2 / np.sum((logs - logs.mean()) ** 2))
    found = predicted(law, [5000.0])
    reach = stats.t.ppf(0.975, 4) * spread
    middle = expected.intercept + expected.slope * at
    assert np.log([found.value, found.low, found.high]) == pytest.approx([middle, middle - reach, middle + reach])


def test_interval_of_two_sizes_holds_the_further_measurement_as_often_as_it_says():
    noise = np.random.default_rng(2)
    x, far = np.column_stack([[32, 64, 48, 96, 128], [2, 2, 6, 4, 4]]).astype(float), np.array([576.0, 30.0])
    draws, within = 800, 0
    for _ in range(draws):
        scattered = np.exp(0.3 * noise.normal(size=6))
        y = 2 * x[:, 0] ** 0.7 * x[:, 1] ** -0.3 * scattered[:5]
        found = predicted(fitted(x, y), far)
        within += found.low <= 2 * far[0] ** 0.7 * far[1] ** -0.3 * scattered[5] <= found.high
    assert abs(within / draws - CONFIDENCE) < 4 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / draws)


@pytest.mark.parametrize(
    ("sizes", "values", "message"),
    [
        ([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0], "3 models do not fix 2 coefficients"),
        ([[2.0]] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], "5 models do not fix 2 coefficients"),
        ([[1.0], [2.0], [4.0], [8.0]], [1.0, 2.0, 0.0, 3.0], "numbers above 0"),
    ],
)
def test_law_without_an_error_is_refused(sizes, values, message):
    with pytest.raises(ValueError, match=message):
        fitted(np.array(sizes), np.array(values))


@pytest.mark.parametrize(
    ("low", "high", "measured", "verdict"),
    [
        (0.5, 2.0, 1.9, "predicts"),
        (0.5, 2.0, 2.1, "misses"),
        (1 / (1.01 * WIDEST), 1.01 * WIDEST, 1.0, "too wide"),
        (1e-9, 1e9, 2e9, "misses"),
    ],
)
def test_verdict_takes_an_interval_that_holds_and_says_something(low, high, measured, verdict):
    assert judged(Prediction(1.0, low, high), measured) == verdict


def test_models_that_obey_a_law_predict_the_large_one_and_larger_ones(rows_of):
    def law(parameters):
        return 0.02 * (parameters / 1e5) ** 0.3

    rows = rows_of(law, law(134.5e6), scatter=0.02, seeds=(0, 1), stderr=0.01)
    found = laws.fits(rows, 1e4)
    assert (found[0]["quantity"], tuple(found[0]["sizes"]), found[0]["verdict"]) == (*laws.DECIDES, "predicts")
    assert found[0]["exponents"][0] == pytest.approx(0.3, abs=4 * found[0]["stderrs"][0])
    offered = laws.extrapolated(rows, 1e4, ["llama-3.1-8b", "llama-3.1-70b"])
    assert [each["model"] for each in offered] == ["llama-3.1-8b", "llama-3.1-70b"]
    for each in offered:
        assert each["low"] < law(each["parameters"]) < each["high"]
    said = laws.statement(rows, found, offered, 1e4, ["llama-3.1-8b", "llama-3.1-70b"])
    assert "The law says llama-3.1-8b" in said
    assert "no extrapolation" not in said


@pytest.mark.parametrize(
    ("scatter", "of_large", "verdict", "words"),
    [(0.02, 5.0, "misses", "do not predict large, so no"), (0.8, 0.17, "too wide", "which tells little, so no")],
)
def test_models_that_predict_nothing_offer_no_extrapolation(rows_of, scatter, of_large, verdict, words):
    rows = rows_of(lambda parameters: 0.02 * (parameters / 1e5) ** 0.3, of_large, scatter=scatter)
    found = laws.fits(rows, 1e4)
    offered = laws.extrapolated(rows, 1e4, ["llama-3.1-8b"])
    assert found[0]["verdict"] == verdict
    assert offered == []
    assert f"{words} extrapolation" in laws.statement(rows, found, offered, 1e4, ["llama-3.1-8b"])


def test_quantities_are_of_their_light_and_unit(row):
    large = row("large", "tested", 576, 30, 134.5e6, 0.2)
    found = {name: of(large, 3e4) for name, of in laws.QUANTITIES.items()}
    assert list(found.values()) == pytest.approx([0.2 / 3, 0.2 / 12, 0.2, 200.0])


def test_seeds_of_a_size_are_one_point_of_a_law_and_give_the_spread(rows_of, sizes):
    rows = rows_of(lambda _: 0.1, 0.1, scatter=0.3, seeds=(0, 1, 2))
    logs = np.log([each["points"][1]["kl"] for each in rows[:-1]]).reshape(5, 3)
    law = laws.law_of(rows, laws.DECIDES[0], ("parameters",), 1e4)
    expected = stats.linregress(np.log(sizes), logs.mean(axis=1))
    assert law.coefficients[1] == pytest.approx(expected.slope)
    assert law.freedom == 3
    assert laws.seed_spread(rows, 1e4) == pytest.approx(np.sqrt(logs.var(axis=1, ddof=1).mean()))
    assert laws.seed_spread(rows_of(lambda _: 0.1, 0.1), 1e4) is None
