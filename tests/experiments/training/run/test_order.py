"""Order of the data: every example once per epoch, by seed and step alone."""

import numpy as np
import pytest

from experiments.training.run.order import batch_of_step, batches_in_order, check_data

DATA = {"x": np.arange(10), "y": np.arange(20).reshape(10, 2)}


def test_an_epoch_holds_every_example_once_and_another_order_follows():
    epochs = [
        np.concatenate([batch_of_step(DATA, 3, step, 5, 1)["x"].ravel() for step in (2 * epoch, 2 * epoch + 1)])
        for epoch in range(3)
    ]
    assert all(sorted(each) == list(range(10)) for each in epochs)
    assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])
    assert not np.array_equal(epochs[0][:5], batch_of_step(DATA, 4, 0, 5, 1)["x"].ravel())


def test_step_alone_decides_and_micro_batches_divide_the_batch():
    late, again = (batch_of_step(DATA, 3, 7, 4, 2) for _ in range(2))
    assert late["x"].shape == (2, 2) and late["y"].shape == (2, 2, 2)
    assert np.array_equal(late["x"], again["x"]) and np.array_equal(late["y"][..., 0], 2 * late["x"])
    whole = batch_of_step(DATA, 3, 7, 4, 1)
    assert np.array_equal(whole["x"].ravel(), late["x"].ravel())


def test_function_of_the_step_makes_the_batch():
    made = batch_of_step(lambda step: {"x": np.full((4, 3), step)}, 0, 9, 4, 2)
    assert made["x"].shape == (2, 2, 3) and np.all(made["x"] == 9)
    with pytest.raises(ValueError, match="the data of step 9 holds 3 examples, fewer than the 4 of a batch"):
        batch_of_step(lambda step: {"x": np.zeros((3, 2))}, 0, 9, 4, 2)


def test_batches_in_order_leave_out_what_fills_none():
    assert batches_in_order(DATA, 4)["x"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    "data, message",
    [
        ({}, "data holds no array"),
        ({"x": 3}, "data['x'] = 3 must be an array whose leading axis counts the examples"),
        ({"x": np.zeros(4), "y": np.zeros(5)}, "data['x'] 4, data['y'] 5"),
        ({"x": np.zeros(4)}, "data holds 4 examples, fewer than the 5 of a batch"),
    ],
)
def test_data_that_cannot_be_is_refused(data, message):
    with pytest.raises(ValueError) as error:
        check_data("data", data, 5)
    assert message in str(error.value)
