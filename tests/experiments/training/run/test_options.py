"""One error for each option out of range, which names it, its value and what is allowed."""

import pytest

from experiments.training.method.trainable import Trainable
from experiments.training.run.options import Options
from optics.analysis.inverse import Knob


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 0}, "steps = 0 must be a whole number, at least 1"),
        ({"accumulate": 3}, "accumulate = 3 must divide batch = 32"),
        ({"rate": 0.0}, "rate = 0.0 must be a number above 0"),
        ({"rate": float("nan")}, "rate = nan must be a number above 0"),
        ({"final_rate": 2}, "final_rate = 2 must be a number at least 0 and at most 1"),
        ({"clip_sigmas": -1.0}, "clip_sigmas = -1.0 must be a number above 0"),
        ({"warmup": 300}, "warmup = 300 must be a whole number, at most 200"),
        ({"patience": 0}, "patience = 0 must be a whole number, at least 1"),
        ({"device": "new"}, "device = 'new' must be 'fixed' or 'redrawn'"),
        ({"seed": -1}, "seed = -1 must be a whole number, at least 0"),
        ({"price": 0.1}, "price = 0.1: watts have no gradient in weights, so name knobs"),
        ({"trainable": "lora"}, "trainable = 'lora' must be a training.Trainable"),
    ],
)
def test_option_out_of_range_is_refused(changes, message):
    with pytest.raises(ValueError) as error:
        Options(**changes).check()
    assert message in str(error.value)


def test_description_holds_what_results_depend_on():
    said = Options(trainable=Trainable(kind="lora", rank=4), knobs={"clock": Knob(1e8, 1e9)}, price=0.1).describe()
    assert said["trainable"] == {"kind": "lora", "rank": 4, "alpha": 16.0}
    assert said["knobs"] == {"clock": [1e8, 1e9, True]} and said["optimiser"] == "AdamW"
