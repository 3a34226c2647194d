"""Methods by name, and the models that they make."""

import dataclasses
from functools import partial

import numpy as np
import pytest

import models
from experiments.adapt.methods import BY_SITE, Method, parsed, prepare
from experiments.adapt.setting import Setting


def test_parsed_puts_the_model_as_it_is_first_and_repeats_rotations_for_each_seed():
    found = [method.name for method in parsed(["fold+rescale", "none", "rotate-down"], (0, 3))]
    assert found == ["none", "fold+rescale", "rotate-down", "rotate-down seed 3"]


def test_parsed_refuses_an_unknown_step_with_the_nearest():
    with pytest.raises(ValueError, match="no step 'rescal'; did you mean 'rescale'.*known: fold, rescale"):
        parsed(["fold+rescal"], (0,))


def test_prepare_takes_the_steps_in_their_order_and_the_exponents_of_least_loss(byte_model):
    checkpoint = models.load_gguf(byte_model)
    sample = np.arange(24, dtype=np.int32)[None]
    seen = []

    def loss(checkpoint, setting):
        assert setting.sinks == 3
        # Least where the inputs of the MLP are scaled most.
        seen.append(float(np.max(np.asarray(checkpoint.params["layers"]["mlp_norm"]))))
        return seen[-1]

    def find_exponents(checkpoint, inputs, setting):
        found = models.equivalent.search_rescaling(checkpoint, inputs, partial(loss, setting=setting), by_place=True)
        return found.exponents, len(found.tried)

    def set_by_site(step, checkpoint, setting):
        assert not checkpoint.config.tied_head and setting.sinks == 3
        return dataclasses.replace(setting, **{BY_SITE[step]: {"head": 2.0}})

    method = Method(("sinks", "rotate-down", "rescale", "light", "gain", "ranges"), seed=2)
    made = prepare(method, checkpoint, sample, Setting(), 3, find_exponents, set_by_site)
    by_site = {"head": 2.0}
    assert made.setting == Setting(sinks=3, light=by_site, gain=by_site, loading=by_site)
    assert made.checkpoint.config.down_rotation == models.Rotation(seed=2)
    assert not made.checkpoint.config.tied_head
    assert made.tried == len(seen) and set(made.exponents) == {"attention", "o", "mlp", "head"}
    assert float(np.max(np.asarray(made.checkpoint.params["layers"]["mlp_norm"]))) == min(seen)
    plain = prepare(Method(()), checkpoint, sample, Setting(), 3, find_exponents, set_by_site)
    assert plain.checkpoint is checkpoint and not plain.exponents and plain.setting == Setting()
