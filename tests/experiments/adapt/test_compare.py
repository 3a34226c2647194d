"""Curves read at equal photons, power and watts, against closed forms."""

import numpy as np
import pytest

from experiments.adapt.compare import compare, first_below, value_at
from experiments.adapt.records import PointRecord

LIGHT = (0.25, 0.5, 1.0, 2.0, 4.0)


def curve(scale, *, brighter=1.0, windows=(1.0,)) -> list[PointRecord]:
    """KL = scale / light, by window times a factor; photons are the light times `brighter`, watts 10 + 5 photons."""
    return [
        {
            "light": light,
            "kl": scale / light * float(np.mean(windows)),
            "kl_stderr": None,
            "delta_nll": 0.0,
            "delta_nll_stderr": None,
            "kl_by_window": [scale / light * factor for factor in windows],
            "by_device": [],
            "photons_per_mac": brighter * light,
            "source_power_w": light,
            "watts_at_exaops": 10 + 5 * brighter * light,
        }
        for light in LIGHT
    ]


def test_value_at_is_exact_for_a_power_law_and_none_beyond_the_points():
    x = [1.0, 10.0, 100.0]
    y = [value**-0.7 for value in x]
    assert value_at(x, y, 33.0) == pytest.approx(33.0**-0.7)
    assert value_at(x, y, 100.0) == pytest.approx(y[-1])
    assert value_at(x, y, 0.99) is None and value_at(x, y, 101.0) is None


def test_first_below_is_the_inverse_of_value_at_and_none_where_nothing_is_known():
    x, y = [1.0, 10.0, 100.0], [1.0, 0.1, 0.05]
    assert value_at(x, y, first_below(x, y, 0.07)) == pytest.approx(0.07)
    assert first_below(x, y, 1.0) == 1.0
    assert first_below(x, y, 2.0) is None and first_below(x, y, 0.01) is None


def test_compare_of_the_unprepared_model_with_itself_recovers_nothing():
    points = curve(0.2)
    for found in compare(points, points).values():
        assert found["recovered"] == pytest.approx(0)
    assert compare(points, points)["watts_at_exaops"]["equal_kl"] == pytest.approx(15)


def test_compare_of_half_the_loss_at_twice_the_photons_recovers_half_at_equal_power_and_nothing_at_equal_photons():
    found = compare(curve(0.1, brighter=2.0), curve(0.2))
    assert found["source_power_w"]["recovered"] == pytest.approx(0.5)
    assert found["source_power_w"]["equal_kl"] == pytest.approx(0.5)
    assert found["photons_per_mac"]["recovered"] == pytest.approx(0)
    assert found["photons_per_mac"]["equal_kl"] == pytest.approx(1.0)
    assert found["watts_at_exaops"]["equal_kl"] == pytest.approx(15.0)


def test_compare_has_the_jackknife_error_of_a_ratio_of_means():
    windows = np.array([0.8, 1.1, 1.3, 0.6])
    found = compare(curve(0.1, windows=(1.0, 2.0, 1.5, 0.5)), curve(0.2, windows=tuple(windows)))["source_power_w"]
    own = np.array([1.0, 2.0, 1.5, 0.5])
    ratios = [np.delete(own, i).mean() / np.delete(windows, i).mean() / 2 for i in range(4)]
    assert found["recovered"] == pytest.approx(1 - own.mean() / windows.mean() / 2)
    assert found["recovered_stderr"] == pytest.approx(np.sqrt(3 / 4 * np.sum((ratios - np.mean(ratios)) ** 2)))
    assert compare(curve(0.1), curve(0.2))["source_power_w"]["recovered_stderr"] is None
