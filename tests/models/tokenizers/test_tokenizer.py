"""The tokenizer loses nothing and cuts text as SmolLM2 was trained to."""

import numpy as np
import pytest

import models
from models.tokenizers.vocabulary import Vocabulary


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Plain words, and 1234.5 numbers.",
        "  runs   of spaces\t\tand\n\n\nlines  ",
        "naïve café, Ünïcode — “quotes”",
        "Привет, мир! 你好，世界。 日本語 한국어",
        "🚀👩‍👩‍👧‍👦 emoji",
    ],
)
def test_round_trip(smollm2, text):
    ids = smollm2.tokenizer.encode(text)
    assert ids.dtype == np.int32 and ids.ndim == 1
    assert smollm2.tokenizer.decode(ids) == text


@pytest.mark.parametrize(("text", "count"), [("owt_5", 157_368), ("wikipedia_5", 153_047)])
def test_whole_texts_round_trip_in_the_known_number_of_tokens(smollm2, text, count):
    text = models.load_text(text)
    ids = smollm2.tokenizer.encode(text)
    assert len(ids) == count
    assert smollm2.tokenizer.decode(ids) == text


def test_digits_stand_alone(smollm2):
    pieces = [smollm2.tokenizer.decode([i]) for i in smollm2.tokenizer.encode("in 2024")]
    assert pieces == ["in", " ", "2", "0", "2", "4"]


def test_control_tokens_are_single_and_nothing_is_added(smollm2):
    encoded = smollm2.tokenizer.encode("<|im_start|>user<|im_end|>")
    assert encoded[0] == 1 and encoded[-1] == 2 and len(encoded) == 3


def test_merges_are_applied_in_their_order():
    letters = ["a", "b", "c"]
    vocabulary = Vocabulary("gpt2", "smollm", [*letters, "bc", "ab"], [], ["b c", "a b"])
    np.testing.assert_array_equal(models.Tokenizer(vocabulary).encode("abc"), [0, 3])
    np.testing.assert_array_equal(models.Tokenizer(vocabulary).encode("aba"), [4, 0])


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="'gpt2' split by 'falcon'; only"):
        models.Tokenizer(Vocabulary("gpt2", "falcon", ["a"], [], []))
