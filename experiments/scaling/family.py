"""The family of tiny models: Llama's architecture at several sizes, whose tokens are bytes."""

import re
from typing import NamedTuple

from tokenizers.pre_tokenizers import ByteLevel

import models
from models.tokenizers.vocabulary import Vocabulary

HEAD_WIDTH = 16
MOST_WIDTH = 2048
MOST_LAYERS = 64


class Size(NamedTuple):
    """Size of a tiny model. width: of the residual stream; layers: number of blocks."""

    width: int
    layers: int

    def __str__(self) -> str:
        return f"{self.width}x{self.layers}"


def parsed(text: str) -> Size:
    """Return the size that is written as WIDTHxLAYERS.

    Raises:
        ValueError: if it is no such text, or the width is no multiple of `HEAD_WIDTH`.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    size = Size(*map(int, found.groups())) if found else Size(0, 0)
    if not (1 <= size.width <= MOST_WIDTH and size.width % HEAD_WIDTH == 0 and 1 <= size.layers <= MOST_LAYERS):
        raise ValueError(
            f"sizes holds {text!r}; a size is WIDTHxLAYERS, the width a multiple of {HEAD_WIDTH} up to {MOST_WIDTH} "
            f"and 1 to {MOST_LAYERS} layers"
        )
    return size


def config_of(size: Size, context: int) -> models.DecoderConfig:
    """Return the shape of a tiny model: that of SmolLM2 in small, with the MLP 8/3 as wide as the residual stream."""
    return models.DecoderConfig(
        hidden=size.width,
        intermediate=-(-8 * size.width // (3 * HEAD_WIDTH)) * HEAD_WIDTH,
        layers=size.layers,
        heads=size.width // HEAD_WIDTH,
        kv_heads=size.width // HEAD_WIDTH,
        head_dim=HEAD_WIDTH,
        vocabulary=256,
        context=context,
        tied_head=True,
        rope_theta=1e4,
    )


def byte_tokenizer() -> models.Tokenizer:
    """Return the tokenizer whose 256 tokens are the bytes of UTF-8."""
    return models.Tokenizer(Vocabulary("gpt2", "gpt-2", sorted(ByteLevel.alphabet()), (), ()))
