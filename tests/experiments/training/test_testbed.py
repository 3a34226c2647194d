"""The testbed: networks on scikit-learn's digits that train in minutes; here they are trained for seconds."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.training import task as tasks
from experiments.training import toml_file

TESTBED = Path(__file__).parents[3] / "docs" / "training"


@pytest.fixture
def testbed(monkeypatch):
    """The module of the MLP, whose digital training takes this many steps."""
    monkeypatch.syspath_prepend(str(TESTBED))
    module = __import__("digits_mlp")
    yield lambda steps: monkeypatch.setattr(module, "STEPS", steps)
    for name in ("digits_mlp", "digits_cnn"):
        sys.modules.pop(name, None)


def test_mlp_learns_digits_digitally_from_a_start_of_its_seed(testbed):
    testbed(60)
    task, other = (tasks.load("digits_mlp:task", TESTBED)(seed) for seed in (0, 1))
    found = jnp.argmax(task.forward(task.params, task.test), axis=-1)
    assert np.mean(found == task.test["label"]) > 0.85
    assert not np.allclose(task.params["out"]["w"], other.params["out"]["w"])
    counts = [len(part["label"]) for part in (task.data, task.held_out, task.test)]
    assert sum(counts) == 1797 and counts[1:] == [300, 500]


@pytest.mark.parametrize("network", ["digits_mlp", "digits_cnn"])
def test_all_products_of_a_network_run_on_light(testbed, network):
    # Without LLVM's optimisations a step of the convolutional network takes seconds.
    testbed(1)
    task = tasks.load(f"{network}:task", TESTBED)(0)
    batch = {name: values[:2] for name, values in task.test.items()}
    sites = optics.trace(task.loss)(task.params, batch, task.forward(task.params, batch))
    assert [site.optical for site in sites] == [True] * 3


@pytest.mark.parametrize("file, methods", [("digits.toml", 3), ("codesign.toml", 2)])
def test_studies_of_the_testbed_load(file, methods):
    study = toml_file.load(TESTBED / file)
    assert len(study.methods) == methods and len(study.seeds) == 3 and study.draws == 16
    assert all((core.rows, core.columns) == (64, 64) for core in study.cores.values())
