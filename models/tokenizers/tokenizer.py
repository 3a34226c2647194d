"""Conversion of text to token ids and back, by the tokenizer of a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers

from models.tokenizers.engines import engine_of
from models.tokenizers.vocabulary import Vocabulary


class Tokenizer:
    """Conversion of text to token ids and back.

    Tokens are added at the ends only where that is asked for. Control tokens in the text, such as
    `<|im_start|>`, are encoded as themselves.

    Args:
        vocabulary: of a GGUF file.

    Raises:
        ValueError: if the vocabulary is of a kind that is not supported.
    """

    def __init__(self, vocabulary: Vocabulary):
        self._engine = engine_of(vocabulary)

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        """Return the tokenizer in a tokenizer.json.

        Raises:
            ValueError: if the tokenizers library cannot read it.
        """
        tokenizer = cls.__new__(cls)
        try:
            tokenizer._engine = tokenizers.Tokenizer.from_file(str(path))
        # The library raises bare exceptions.
        except Exception as error:
            raise ValueError(f"{path} is no tokenizer that the tokenizers library reads ({error})") from error
        # A file may state that sequences are cut or filled up, which would change a text.
        tokenizer._engine.no_truncation()
        tokenizer._engine.no_padding()
        return tokenizer

    def save(self, path: Path) -> None:
        """Write the tokenizer as a tokenizer.json."""
        self._engine.save(str(path))

    @property
    def size(self) -> int:
        """One more than the highest token id."""
        return max(self._engine.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str, *, ends: bool = False) -> np.ndarray:
        """Return the token ids of a text, int32 [length].

        Args:
            text: any.
            ends: whether to add the tokens that the tokenizer's file puts around a whole text, such as one of its
                begin.
        """
        ids = self._engine.encode(text, add_special_tokens=ends).ids
        return np.asarray(ids, dtype=np.int32)

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Return the text of token ids [length]; bytes that are not UTF-8 become U+FFFD."""
        flat = np.asarray(ids).reshape(-1).tolist()
        return self._engine.decode(flat, skip_special_tokens=False)


def token_batch(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return texts for an encoder, with the tokens that the tokenizer puts at their ends.

    Args:
        tokenizer: of the encoder.
        texts: any.
        longest: tokens of a text, ends included; of a longer one the first tokens and the last are kept.

    Returns:
        (int32 [texts, longest], filled up with 0; int32 [texts], the length of each).

    Raises:
        ValueError: if `longest` is below 2.
    """
    if longest < 2:
        raise ValueError(f"longest = {longest} must be at least 2 tokens, those at the ends of a text")
    tokens, lengths = np.zeros((len(texts), longest), np.int32), np.zeros(len(texts), np.int32)
    for number, text in enumerate(texts):
        ids = tokenizer.encode(text, ends=True)
        if len(ids) > longest:
            ids = np.concatenate([ids[: longest - 1], ids[-1:]])
        tokens[number, : len(ids)], lengths[number] = ids, len(ids)
    return tokens, lengths
