"""Generation with a cache gives what the whole sequence gives, by one program for all steps."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models

CONTINUATION = Path(__file__).parents[1] / "fixtures" / "smollm2_continuation.json"
# Two shapes of cache masks, and sinks with a mixture.
NAMES = ("llama-3", "mistral", "gpt-oss")


@pytest.mark.parametrize("name", NAMES)
def test_greedy_with_a_cache_is_argmax_of_the_whole_sequence(given, name):
    case = given(name)
    prompt = case.tokens[0, :7]
    found = list(models.generate(case.model.steps(20), case.model.params, prompt, 8, key=jax.random.key(0)))
    row = np.concatenate([prompt, found])
    logits = jax.jit(case.model.forward)(case.model.params, row[None])
    np.testing.assert_array_equal(found, np.argmax(logits[0, 6:-1], axis=-1))
    assert len(set(found)) > 1


@pytest.mark.parametrize("name", ["llama-3", "gemma3"])
def test_prefill_fills_the_cache_as_steps_do(given, name):
    case = given(name)
    model, length = case.model, 7
    tokens = jnp.asarray(case.tokens[:, :length])
    logits, cache = jax.jit(lambda params, tokens: model.prefill(params, tokens, 9))(model.params, tokens)
    stepped = model.family.empty_cache(model.config, 2, 9)
    step = jax.jit(model.decode_step)
    for position in range(length):
        last, stepped = step(model.params, stepped, tokens[:, position], jnp.int32(position))
    np.testing.assert_allclose(logits[:, -1], last, atol=1e-4)
    for part, filled in cache.items():
        assert filled.shape == stepped[part].shape and filled.dtype == stepped[part].dtype
        np.testing.assert_allclose(filled, stepped[part], atol=1e-4)
    np.testing.assert_allclose(logits, jax.jit(model.forward)(model.params, tokens), atol=1e-4)


def test_all_steps_share_one_program_and_each_has_its_own_noise(given):
    case, traces, keys = given("llama-2"), [], []

    def counted(fun):
        def traced(*args):
            traces.append(fun)
            return fun(*args)

        run = jax.jit(traced)

        def step(key, *args):
            keys.append(tuple(np.asarray(jax.random.key_data(key))))
            return run(*args)

        return step

    steps = case.model.steps(16, counted)
    for _ in range(2):
        assert len(list(models.generate(steps, case.model.params, case.tokens[0, :5], 9, key=jax.random.key(3)))) == 9
    assert len(traces) == 2
    # A prompt and eight steps, as the last token is not read; then the same once more.
    assert len(keys) == 18 and len(set(keys)) == 9 and keys[:9] == keys[9:]


def test_sampled_text_repeats_with_its_key_alone(given):
    case = given("llama-2")
    steps = case.model.steps(32)
    run = partial(
        models.generate, steps, case.model.params, case.tokens[0, :4], 20, sampling=models.Sampling(temperature=1.5)
    )
    first, second, other = (list(run(key=jax.random.key(seed))) for seed in (1, 1, 2))
    assert first == second != other


def test_a_stop_token_is_the_last(given):
    case = given("llama-2")
    run = partial(
        models.generate, case.model.steps(20), case.model.params, case.tokens[0, :7], 8, key=jax.random.key(0)
    )
    whole = list(run())
    stop = whole[3]
    assert list(run(stop=(stop,))) == whole[: whole.index(stop) + 1]
    assert list(run(stop=(63,) if 63 not in whole else ())) == whole


def test_steps_of_a_noisy_machine_get_the_key(given):
    """The same text again by the same key, and another by another one."""
    case = given("llama-2")

    def noisy(fun):
        def step(key, *args):
            logits, cache = fun(*args)
            return logits + 3.0 * jax.random.normal(key, logits.shape), cache

        return jax.jit(step)

    steps = case.model.steps(16, noisy)
    first, second, other = (
        list(models.generate(steps, case.model.params, case.tokens[0, :7], 8, key=jax.random.key(seed)))
        for seed in (0, 0, 1)
    )
    assert first == second != other


def test_what_does_not_fit_is_refused_before_anything_runs(given):
    model = given("llama-2").model
    steps, prompt = model.steps(8), np.arange(6, dtype=np.int32)
    generate = partial(models.generate, steps, model.params, key=jax.random.key(0))
    with pytest.raises(ValueError, match="a prompt of 6 tokens and 3 more do not fit into 8 positions"):
        generate(prompt, 3)
    with pytest.raises(ValueError, match="the prompt is empty"):
        generate(prompt[:0], 3)
    with pytest.raises(ValueError, match="count = 0 must be at least 1"):
        generate(prompt, 0)
    with pytest.raises(ValueError, match="room = 65 must be from 1 to 64 tokens"):
        model.steps(65)
    with pytest.raises(ValueError, match="must be of 1 to 8 tokens"):
        steps.start(model.params, prompt[None], jax.random.key(0))
    with pytest.raises(ValueError, match="the cache of 8 positions is full"):
        steps.extend(model.params, models.State(jnp.zeros(64), None, 8), 1, jax.random.key(0))
    with pytest.raises(ValueError, match="room = 4 must be at least that"):
        models.prefill(model.config, model.params, prompt[None], 4)


@pytest.mark.slow
def test_twenty_tokens_of_smollm2_are_those_of_transformers(smollm2):
    """`tests/models/fixtures/make_continuation.py` made them with transformers and torch from the same file."""
    for case in json.loads(CONTINUATION.read_text()):
        prompt = np.asarray(case["prompt"], np.int32)
        found = models.generate(smollm2.steps(64), smollm2.params, prompt, 20, key=jax.random.key(0))
        assert list(found) == case["continuation"]


def test_a_batch_of_prompts_is_read_as_each_alone(given):
    case = given("mistral")
    prompts, key = [case.tokens[0, :7], case.tokens[1, :3]], jax.random.key(0)
    steps, params = case.model.steps(12), case.model.params
    together = steps.start_batch(params, prompts, key)
    np.testing.assert_array_equal(together.padding, [0, 4])
    for following in ([5, 9], [11, 2]):
        together = steps.extend(params, together, np.array(following), key)
    assert together.position == 9
    for place, prompt in enumerate(prompts):
        alone = steps.start(params, prompt, key)
        for following in ([5, 9], [11, 2]):
            alone = steps.extend(params, alone, following[place], key)
        np.testing.assert_allclose(together.logits[place], alone.logits, atol=1e-4)


def test_a_batch_without_prompts_or_with_one_too_long_is_refused(given):
    case = given("mistral")
    steps, key = case.model.steps(4), jax.random.key(0)
    with pytest.raises(ValueError, match="there is no prompt; a batch must be of at least 1"):
        steps.start_batch(case.model.params, [], key)
    with pytest.raises(ValueError, match=r"the prompt has shape \(5,\); it must be of 1 to 4 tokens"):
        steps.start_batch(case.model.params, [case.tokens[0, :2], case.tokens[1, :5]], key)
