"""SmolLM2-135M-Instruct gives the perplexities that transformers and PyTorch give.

Truth: transformers 4.57.6 with torch 2.13.0 on the same GGUF file and the same token ids gives
31.447447 on owt_5 and 28.734692 on wikipedia_5, over the first 8 windows of 512 tokens, without
a beginning-of-sequence token, 511 tokens scored in each.
"""

import dataclasses

import jax
import numpy as np
import pytest

import models

# A forward pass of the real model takes minutes where nothing is optimised.
pytestmark = pytest.mark.optimised


@pytest.fixture(scope="module")
def perplexity(smollm2):
    @jax.jit
    def losses(params, tokens):
        return models.next_token_losses(smollm2.forward(params, tokens), tokens)

    def measure(params, text, count):
        tokens = smollm2.tokenizer.encode(models.load_text(text))
        # One window at a time: the logits of one are 100 MB.
        batches = models.windows(tokens, count, 512)[:, None]
        return np.exp(np.mean([losses(params, batch) for batch in batches]))

    return measure


@pytest.mark.parametrize(
    ("text", "truth"), [("owt_5", 31.447447), pytest.param("wikipedia_5", 28.734692, marks=pytest.mark.slow)]
)
def test_perplexity_is_that_of_transformers(smollm2, perplexity, text, truth):
    assert perplexity(smollm2.params, text, 8) == pytest.approx(truth, abs=0.01)


def test_rotary_rows_left_in_gguf_order_ruin_the_model(smollm2, perplexity):
    def interleave(stack, heads):
        layers, inputs, outputs = stack.shape
        halves = stack.reshape(layers, inputs, heads, 2, outputs // heads // 2)
        return halves.swapaxes(3, 4).reshape(stack.shape)

    layers = smollm2.params["layers"]
    wrong = {"q": interleave(layers["q"], 9), "k": interleave(layers["k"], 3)}
    params = smollm2.params | {"layers": layers | wrong}
    assert perplexity(params, "wikipedia_5", 2) == pytest.approx(323.9, abs=1.0)
    assert perplexity(smollm2.params, "wikipedia_5", 2) == pytest.approx(27.18, abs=0.01)


@pytest.mark.parametrize(
    ("prompt", "continuation"),
    [
        ("The capital of France is", " Paris."),
        (
            "<|im_start|>user\nWhat is the capital of Italy?<|im_end|>\n<|im_start|>assistant\n",
            "The capital of Italy is Rome.<|im_end|>",
        ),
    ],
)
def test_greedy_continuation(smollm2, prompt, continuation):
    tokens = smollm2.tokenizer.encode(prompt)[None]
    steps = len(smollm2.tokenizer.encode(continuation))
    added = models.greedy(smollm2.forward, smollm2.params, tokens, steps)
    assert smollm2.tokenizer.decode(added[0]) == continuation


def test_shape_is_the_published_one(smollm2):
    published = dataclasses.replace(models.SMOLLM2_135M, norm_epsilon=smollm2.config.norm_epsilon)
    assert smollm2.config == published
    assert smollm2.config.norm_epsilon == pytest.approx(1e-5, rel=1e-6)
    assert sum(leaf.size for leaf in jax.tree.leaves(smollm2.params)) == 134_515_008
