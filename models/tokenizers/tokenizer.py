"""Byte-level byte-pair encoding from the vocabulary of a checkpoint."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tokenizers
from gguf import TokenType
from tokenizers import decoders, pre_tokenizers
from tokenizers.models import BPE


class Vocabulary(NamedTuple):
    """The tokenizer of a GGUF file.

    Attributes:
        model: the algorithm; "gpt2" is byte-level byte-pair encoding.
        splitting: the name of the rule that cuts text before merging, `tokenizer.ggml.pre`.
        tokens: the text of every token, in the order of its id.
        token_types: a `gguf.TokenType` value per token, or empty.
        merges: the pairs to join, the first joined first, each as "left right".
    """

    model: str
    splitting: str
    tokens: Sequence[str]
    token_types: Sequence[int]
    merges: Sequence[str]


class Tokenizer:
    """Conversion of text to token ids and back.

    Text is cut into single digits and GPT-2's words before merging, as SmolLM2's tokenizer does.
    No token is added at either end. Control tokens in the text, such as `<|im_start|>`, are encoded
    as themselves.

    Raises:
        ValueError: if the vocabulary is not byte-level BPE split in SmolLM's way.
    """

    def __init__(self, vocabulary: Vocabulary):
        if (vocabulary.model, vocabulary.splitting) != ("gpt2", "smollm"):
            raise ValueError(
                f"the tokenizer is {vocabulary.model!r} split by {vocabulary.splitting!r}; only "
                "'gpt2' (byte-level BPE) split by 'smollm' is supported"
            )
        self._engine = _byte_level_bpe(vocabulary)

    def encode(self, text: str) -> np.ndarray:
        """Return the token ids of a text, int32 [length]."""
        ids = self._engine.encode(text, add_special_tokens=False).ids
        return np.asarray(ids, dtype=np.int32)

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Return the text of token ids [length]; bytes that are not UTF-8 become U+FFFD."""
        flat = np.asarray(ids).reshape(-1).tolist()
        return self._engine.decode(flat, skip_special_tokens=False)


def _pair(merge: str) -> tuple[str, str]:
    left, right = merge.split(" ")
    return left, right


def _byte_level_bpe(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    ids = {token: number for number, token in enumerate(vocabulary.tokens)}
    merges = [_pair(merge) for merge in vocabulary.merges]
    engine = tokenizers.Tokenizer(BPE(ids, merges))
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens(
        [
            token
            for token, kind in zip(vocabulary.tokens, vocabulary.token_types, strict=False)
            if kind == TokenType.CONTROL
        ]
    )
    return engine
