"""Every change leaves the logits of every family's tiny checkpoint as they are, or is refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import equivalent

EXACT = 1e-5
POST_NORMS = ("gemma2", "gemma3")


def test_changes_leave_the_logits_of_a_family(tiny, deviation, plain_decoder):
    model, tokens = tiny(plain_decoder)
    changed = {
        "folded": equivalent.fold_norms(model),
        "rescaled": equivalent.rescale(model, equivalent.measure_inputs(model, tokens), 0.5),
        "values": equivalent.rotate_values(model, 7),
    }
    if plain_decoder not in POST_NORMS:
        changed["residual"] = equivalent.rotate_residual(model, 7)
    for what, after in changed.items():
        assert deviation(model, after, tokens) < EXACT, what
        assert after.sha256 != model.sha256, what
    assert len({after.sha256 for after in changed.values()}) == len(changed)
    folded = changed["folded"].params
    assert (np.asarray(folded["layers"]["mlp_norm"]) == (0 if model.config.offset_norms else 1)).all()
    assert not changed["folded"].config.tied_head


# A dense model, experts, and experts behind an activation that clips; by forward and by decode_step.
@pytest.mark.parametrize("name", ["llama-3", "mixtral", "gpt-oss"])
def test_all_changes_together_leave_the_logits(tiny, deviation, name):
    model, tokens = tiny(name)
    model = equivalent.rotate_residual(model, 1)
    before = model
    model = equivalent.rescale(model, equivalent.measure_inputs(model, tokens), 0.3)
    model = equivalent.rotate_down(equivalent.rotate_values(model, 2), 3)
    assert deviation(before, model, tokens) < EXACT
    forgotten = model.family.forward(before.config, model.params, jnp.asarray(tokens))
    right = jax.jit(model.forward)(model.params, tokens)
    assert np.abs(forgotten - right).max() > 1e-2 * np.abs(right).max()


def test_decode_step_rotates_the_hidden_layer_too(tiny):
    model, tokens = tiny("llama-3")
    rotated = equivalent.rotate_down(model, 3)

    def last(model):
        _, cache = jax.jit(model.prefill, static_argnums=2)(model.params, tokens[:, :-1], tokens.shape[1])
        return jax.jit(model.decode_step)(model.params, cache, tokens[:, -1], tokens.shape[1] - 1)[0]

    expected = last(model)
    np.testing.assert_allclose(last(rotated), expected, atol=EXACT * np.abs(expected).max())


@pytest.mark.parametrize("name", POST_NORMS)
def test_residual_stream_with_post_norms_is_refused(tiny, name):
    with pytest.raises(ValueError, match=r"post_norms \(Gemma\) is not rotated"):
        equivalent.rotate_residual(tiny(name)[0], 0)


def test_model_with_parts_that_are_not_known_is_refused(tiny):
    model, tokens = tiny("deepseek-v3")
    for change in (
        equivalent.fold_norms,
        lambda m: equivalent.rotate_values(m, 0),
        lambda m: equivalent.measure_inputs(m, tokens),
    ):
        with pytest.raises(ValueError, match=r"\(DeepSeek-V3\), of which no equivalent models are made"):
            change(model)


def test_rescaling_before_down_of_a_clipped_activation_is_refused_and_left_out(tiny):
    model, tokens = tiny("gpt-oss")
    inputs = equivalent.measure_inputs(model, tokens)
    with pytest.raises(ValueError, match="'down' is not exact for this model: its activation 'clamped_swiglu'"):
        equivalent.rescale(model, inputs, {"down": 0.5})
    rescaled = equivalent.rescale(model, inputs, 0.5).params["layers"]
    np.testing.assert_array_equal(rescaled["down"], model.params["layers"]["down"])
