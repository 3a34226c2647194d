"""BERT gives the hidden states and embeddings that transformers computes with torch.

`tests/models/fixtures/make_embeddings.py` made both; `make oracle` makes them again and compares.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import models


@pytest.fixture(scope="module")
def tiny(fixtures):
    return models.load(fixtures / "bert", family=models.BERT, progress=False), load_file(
        fixtures / "bert" / "expected.safetensors"
    )


@pytest.fixture(scope="module")
def minilm():
    return models.load(models.fetch_encoder(), family=models.BERT, progress=False)


encode = jax.jit(models.encode, static_argnums=0)
embed = jax.jit(models.sentence_embeddings, static_argnums=0)


def test_hidden_states_are_those_of_transformers(tiny):
    model, expected = tiny
    states = encode(model.config, model.params, expected["tokens"], lengths=expected["lengths"])
    for found, truth, length in zip(states, expected["states"], expected["lengths"], strict=True):
        np.testing.assert_allclose(found[:length], truth[:length], atol=1e-4)
    whole = jax.jit(model.forward)(model.params, expected["tokens"][:1])
    np.testing.assert_allclose(whole[0], expected["states"][0], atol=1e-4)


def test_embeddings_are_normalised_means_of_a_text_alone(tiny):
    model, expected = tiny
    found = embed(model.config, model.params, expected["tokens"], lengths=expected["lengths"])
    for vector, states, length in zip(found, expected["states"], expected["lengths"], strict=True):
        mean = states[:length].mean(0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    # What fills a text up changes nothing, nor does its absence.
    other = np.where(np.arange(12) < expected["lengths"][:, None], expected["tokens"], 63)
    np.testing.assert_array_equal(embed(model.config, model.params, other, lengths=expected["lengths"]), found)
    alone = embed(model.config, model.params, expected["tokens"][1:, :7])
    np.testing.assert_allclose(alone[0], found[1], atol=1e-5)


def test_minilm_embeds_texts_as_the_reference(minilm, fixtures):
    """Accents, capitals, characters that WordPiece does not know, and no text at all."""
    expected = load_file(fixtures / "minilm.safetensors")
    texts = json.loads((fixtures / "minilm.json").read_text(encoding="utf-8"))
    tokens, lengths = models.token_batch(minilm.tokenizer, texts, expected["tokens"].shape[1])
    np.testing.assert_array_equal(tokens, expected["tokens"])
    np.testing.assert_array_equal(lengths, expected["lengths"])
    found = embed(minilm.config, minilm.params, tokens, lengths=lengths)
    np.testing.assert_allclose(found, expected["embeddings"], atol=1e-4)
    assert sum(leaf.size for leaf in jax.tree.leaves(minilm.params)) == 22_713_216 - (384 * 384 + 384)


def test_long_texts_keep_their_ends(minilm):
    whole = minilm.tokenizer.encode("light adds what wires cannot", ends=True)
    tokens, lengths = models.token_batch(minilm.tokenizer, ["light adds what wires cannot", "light"], 5)
    np.testing.assert_array_equal(tokens[0], [*whole[:4], whole[-1]])
    np.testing.assert_array_equal(tokens[1], [*whole[:2], whole[-1], 0, 0])
    np.testing.assert_array_equal(lengths, [5, 3])
    with pytest.raises(ValueError, match="longest = 1 must be at least 2"):
        models.token_batch(minilm.tokenizer, ["light"], 1)


def test_an_encoder_is_no_decoder(fixtures):
    """Programs that score or continue text refuse it by name."""
    with pytest.raises(ValueError, match="model_type is 'bert'; supported are deepseek_v3, gemma2"):
        models.load(fixtures / "bert")


def test_wrong_arguments_are_refused(tiny):
    model, expected = tiny
    for tokens, more, message in (
        (expected["tokens"][0], {}, "must be integers of shape"),
        (jnp.zeros((1, 33), jnp.int32), {}, "tokens are 33 long; this model's context is 32"),
        (expected["tokens"], {"lengths": jnp.array([1])}, r"lengths has shape \(1,\); it must be \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            models.encode(model.config, model.params, tokens, **more)
    with pytest.raises(ValueError, match="EncoderConfig.heads is 5; it must divide hidden, which is 16"):
        models.EncoderConfig(hidden=16, intermediate=24, layers=2, heads=5, vocabulary=64, context=32)
    with pytest.raises(ValueError, match="there is no encoder named 'bge'. Known: all-minilm-l6-v2"):
        models.fetch_encoder("bge")
