"""Numbers of the core that are trained beside the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.training.method.codesign import hardware, with_device
from experiments.training.method.gaussian import GaussianCore
from optics.analysis.inverse import Knob

CORE = optics.projected_2029(rows=8, columns=8)
PARAMS, X = np.ones((16, 8), np.float32), np.ones((4, 16), np.float32)
SITES = optics.trace(lambda w, x: x @ w)(PARAMS, X)
KNOBS = {"clock": Knob(1e8, 1e10), "adc.enob": Knob(3.0, 10.0, False), "light.photons_per_mac": Knob(1.0, 1e6)}


def test_start_is_the_core_itself_and_no_update_leaves_the_bounds():
    made = hardware(KNOBS, CORE, SITES)
    hidden = made.start(CORE)
    back = made.core(CORE, hidden)
    for name in ("clock", "adc.enob", "source.power"):
        assert back.numbers()[name] == pytest.approx(CORE.numbers()[name], rel=1e-4)
    far = made.values(jax.tree.map(lambda z: z + 1e3, hidden))
    assert {name: float(value) for name, value in far.items()} == pytest.approx(
        {"clock": 1e10, "adc.enob": 10.0, "light.photons_per_mac": 1e6}
    )


def test_price_has_the_gradient_of_finite_differences():
    made = hardware(KNOBS, CORE, SITES)
    hidden = made.start(CORE)
    price = jax.jit(lambda hidden: made.log_watts(made.core(CORE, hidden), {SITES[0].name: 0.1}))
    slopes = jax.jit(jax.grad(price))(hidden)
    for name, slope in slopes.items():
        up, down = (float(price({**hidden, name: hidden[name] + h})) for h in (0.05, -0.05))
        assert slope == pytest.approx((up - down) / 0.1, rel=0.02, abs=1e-4), name
    assert slopes["clock"] != 0 and slopes["light.photons_per_mac"] > 0 and slopes["adc.enob"] > 0
    bill = optics.price(CORE, SITES, readings={SITES[0].name: 0.1})
    assert float(price(hidden)) == pytest.approx(np.log(float(bill.watts_at())), abs=1e-3)


def test_knobs_of_a_design_are_those_of_its_cores():
    design = optics.CoresBySite(CORE, {"000 *": CORE.replace({"clock": 2e9})})
    made = hardware({"rules.0.core.clock": Knob(1e8, 1e10)}, design, SITES)
    moved = made.core(design, {"rules.0.core.clock": jnp.float32(0.0)})
    assert moved.rules[0].core.clock == pytest.approx(1e9, rel=1e-4)
    assert moved.default.clock == CORE.clock
    with pytest.raises(ValueError, match="the cores of the design differ in it, so name that of each"):
        hardware({"clock": Knob(1e8, 1e10)}, design, SITES)


@pytest.mark.parametrize(
    "knobs, message",
    [
        ({"adc.enobb": Knob(3, 10, False)}, "there is no field 'adc.enobb'"),
        ({"encoding.inputs": Knob(3, 10)}, "'encoding.inputs' is a choice and no number"),
        ({"clock": Knob(1e10, 1e8)}, "clock has the bounds 1e+10 and 1e+08, which are no range"),
        ({"clock": Knob(0.0, 1e8)}, "clock has the bounds 0 and 1e+08, which are no range"),
        ({"clock": Knob(2e9, 3e9)}, "clock of the core starts at 1e+09, which must lie between 2e+09 and 3e+09"),
        ({"adc.enob": Knob(3, 16, False)}, "adc.enob may reach 16, which the core cannot have"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs, message):
    with pytest.raises(ValueError) as error:
        hardware(knobs, CORE, SITES)
    assert message in str(error.value)


def test_device_is_replaced_where_a_core_has_one():
    assert float(with_device(CORE, np.float32(7)).device) == 7
    fixed = optics.FixedRangeCore(CORE, {})
    assert float(with_device(fixed, np.float32(7)).core.device) == 7
    with pytest.raises(ValueError, match="needs a core with a serial number; this is a GaussianCore"):
        with_device(GaussianCore({}), np.float32(7))
    with pytest.raises(ValueError, match="knobs are numbers of a TensorCore or a CoresBySite"):
        hardware(KNOBS, GaussianCore({}), SITES)
