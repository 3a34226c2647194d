"""SmolLM2-135M-Instruct gives the losses that transformers and PyTorch give.

Truth: transformers with torch on the same GGUF file and the same token ids, without a beginning-of-sequence token, 511
tokens scored in each window of 512. That of the first window of each text stands in fixtures/smollm2_windows.json
(`make oracle`); over the first 8 windows transformers 4.57.6 with torch 2.13.0 gives perplexities of 31.447447 on owt_5
and 28.734692 on wikipedia_5.
"""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import models

# A forward pass of the real model takes minutes where nothing is optimised.
pytestmark = pytest.mark.optimised


WINDOWS = json.loads((Path(__file__).parents[1] / "fixtures" / "smollm2_windows.json").read_text())


@pytest.fixture(scope="module")
def nll(smollm2):
    """The mean loss of each window, one at a time: the logits of one are 100 MB."""

    @jax.jit
    def losses(params, tokens):
        return models.next_token_losses(smollm2.forward(params, tokens), tokens)

    return lambda params, windows: [float(np.mean(losses(params, window[None]))) for window in windows]


def windows_of(smollm2, text, count):
    return models.windows(smollm2.tokenizer.encode(models.load_text(text)), count, 512)


@pytest.mark.parametrize("text", WINDOWS)
def test_loss_of_a_window_is_that_of_transformers(smollm2, nll, text):
    windows = windows_of(smollm2, text, 1)
    assert windows[0].tolist() == WINDOWS[text]["tokens"]
    assert nll(smollm2.params, windows) == [pytest.approx(WINDOWS[text]["nll"], abs=1e-4)]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "truth"), [("owt_5", 31.447447), ("wikipedia_5", 28.734692)])
def test_perplexity_is_that_of_transformers(smollm2, nll, text, truth):
    assert np.exp(np.mean(nll(smollm2.params, windows_of(smollm2, text, 8)))) == pytest.approx(truth, abs=0.01)


def test_rotary_rows_left_in_gguf_order_ruin_the_model(smollm2, nll):
    def interleave(stack, heads):
        layers, inputs, outputs = stack.shape
        halves = stack.reshape(layers, inputs, heads, 2, outputs // heads // 2)
        return halves.swapaxes(3, 4).reshape(stack.shape)

    layers = smollm2.params["layers"]
    wrong = {"q": interleave(layers["q"], 9), "k": interleave(layers["k"], 3)}
    params = smollm2.params | {"layers": layers | wrong}
    (ruined,) = nll(params, windows_of(smollm2, "wikipedia_5", 1))
    assert ruined > WINDOWS["wikipedia_5"]["nll"] + 2


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
