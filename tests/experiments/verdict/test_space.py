"""The space of designs: encodings are sized for one precision, structures have names and features of their own."""

import jax
import numpy as np
import pytest

import optics
from experiments.verdict.space import (
    ENCODINGS,
    PLACES,
    RANGES,
    Space,
    Structure,
    otherwise,
    structures,
)

ROWS, COLUMNS, VECTORS, BITS = 256, 64, 512, 7.0
SPACE = Space("physical_limit")


@pytest.fixture(scope="module")
def operands():
    """Four-sigma Gaussian inputs and weights, whose largest elements are 1 and meet a 0."""
    draws = np.random.default_rng(0)
    x, w = (np.clip(draws.normal(0, 0.25, shape), -1, 1) for shape in ((VECTORS, ROWS), (ROWS, COLUMNS)))
    x[:, 0], x[:, 1], w[0], w[1] = 1.0, 0.0, 0.0, 1.0
    return x.astype(np.float32), w.astype(np.float32)


# 32,768 outputs give a variance to 0.8 % and an SNR to 0.034 dB, one standard error. At the physical limit amplifiers
# have next to no noise, so what is taken of it for an offset does not show.
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_light_of_each_encoding_gives_the_precision_that_is_asked_for(encoding, operands):
    """6.02 b - 7.27 dB against the product, and the integrator holds what an offset adds."""
    structure = Structure(ROWS, COLUMNS, encoding=encoding)
    core = SPACE.core(structure, {**SPACE.scenario_knobs(structure), "light_bits": BITS})
    assert f"{core.encoding.inputs}/{core.encoding.weights}" == encoding
    x, w = operands
    found = core.replace({"effects": optics.Effects.only("shot", "thermal", "saturation")}).matmul(
        x, w, key=jax.random.key(1)
    )
    exact = x.astype(np.float64) @ w.astype(np.float64)
    snr = 10 * np.log10(np.mean(exact**2) / np.mean((np.asarray(found) - exact) ** 2))
    assert snr == pytest.approx(6.02 * BITS - 7.27, abs=0.35)


def test_light_of_an_offset_is_five_times_for_weights_and_ten_times_the_peak_for_inputs():
    """An input on an offset is driven at 0.5 where one on rails is at 0.2, which makes it 25 times the light."""
    power = {
        encoding: float(SPACE.core(Structure(encoding=encoding), SPACE.scenario_knobs(Structure())).source.power)
        for encoding in ENCODINGS
    }
    ratios = {encoding: value / power["rails/rails"] for encoding, value in power.items()}
    expected = {"rails/rails": 1, "slots/rails": 1, "rails/offset": 5, "offset/rails": 10, "slots/offset": 5}
    assert ratios == pytest.approx({**expected, "offset/offset": 50}, rel=0.01)


def test_structures_have_names_and_features_of_their_own():
    made = structures((1024, 2048), (1, 4), PLACES, ("",), RANGES, ENCODINGS)
    assert len({str(each) for each in made}) == len({tuple(each.features()) for each in made}) == len(made) == 192
    assert str(Structure()) == "1024 x 1024, attention digital, ranges follow"
    assert str(Structure(ranges="fixed", encoding="slots/rails")).endswith("slots/rails, ranges fixed")


def test_other_ranges_and_encodings_change_one_choice_each():
    found = [(each.ranges, each.encoding) for each in otherwise(Structure(accumulate=4))]
    assert found == [("fixed", "rails/rails"), ("follow", "slots/rails"), ("follow", "rails/offset")]
    assert all(each.accumulate == 4 for each in otherwise(Structure(accumulate=4)))
