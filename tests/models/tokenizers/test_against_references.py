"""Vocabularies of GGUF files give the token ids of SentencePiece, and of transformers' tokenizers.

`tests/models/fixtures/tokenizer_fixtures.py` made vocabularies and ids.
"""

import json

import numpy as np
import pytest

import models
from models.tokenizers.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def made(fixtures):
    return json.loads((fixtures / "tokenizers.json").read_text(encoding="utf-8"))


def tokenizer_of(kind, **changes):
    fields = {name: value for name, value in kind.items() if name != "ids"}
    return models.Tokenizer(Vocabulary(**({"merges": []} | fields | changes)))


@pytest.mark.parametrize("name", ["sentencepiece", "qwen2", "llama-bpe"])
def test_ids_are_those_of_the_reference(made, name):
    kind = made["kinds"][name]
    tokenizer = tokenizer_of(kind)
    for text, ids in zip(made["texts"], kind["ids"], strict=True):
        np.testing.assert_array_equal(tokenizer.encode(text), ids, err_msg=repr(text))


@pytest.mark.parametrize("name", ["sentencepiece", "llama-bpe"])
def test_decode_gives_the_text_back(made, name):
    tokenizer = tokenizer_of(made["kinds"][name])
    for text in made["texts"]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_qwen2_composes_characters_before_it_cuts(made):
    tokenizer = tokenizer_of(made["kinds"]["qwen2"])
    np.testing.assert_array_equal(tokenizer.encode("e\u0301"), tokenizer.encode("é"))


def test_splittings_differ_in_digits(made):
    kind = made["kinds"]["llama-bpe"]
    three, one = (tokenizer_of(kind, splitting=name) for name in ("llama-bpe", "qwen2"))
    assert len(three.encode("12345")) < len(one.encode("12345")) == 5


def test_merges_of_unknown_tokens_are_refused():
    with pytest.raises(ValueError, match="merges do not fit its tokens"):
        models.Tokenizer(Vocabulary("gpt2", "qwen2", ["a", "b"], [], ["a c"]))
