"""The tokenizer in a GGUF file."""

from collections.abc import Sequence
from typing import NamedTuple


class Vocabulary(NamedTuple):
    """The tokenizer of a GGUF file.

    Attributes:
        model: the algorithm; "gpt2" is byte-level byte-pair encoding, "llama" SentencePiece's.
        splitting: the name of the rule that cuts text before merging, `tokenizer.ggml.pre`.
        tokens: the text of every token, in the order of its id.
        token_types: a `gguf.TokenType` value per token, or empty.
        merges: of "gpt2": the pairs to join, the first joined first, each as "left right".
        scores: of "llama": the higher, the earlier a token is made of two others.
        space_prefix: of "llama": whether text begins with a space that is not there.
        first: number of the token that begins a whole text, or None.
    """

    model: str
    splitting: str
    tokens: Sequence[str]
    token_types: Sequence[int]
    merges: Sequence[str]
    scores: Sequence[float] = ()
    space_prefix: bool = True
    first: int | None = None
