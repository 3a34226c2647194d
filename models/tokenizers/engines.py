"""Tokenizers of the tokenizers library from the vocabulary of a GGUF file."""

import tokenizers
from gguf import TokenType
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from models.tokenizers.vocabulary import Vocabulary

# How text is cut before merging. Sources: tokenizer.json of Meta-Llama-3-8B and of Qwen2-7B.
_LLAMA_3 = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
SPLITTINGS = ("smollm", "gpt-2", "llama-bpe", "qwen2")
# SentencePiece writes a space as this.
_SPACE = "▁"


def engine_of(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """Return the tokenizer of a vocabulary.

    Raises:
        ValueError: if it is of a kind that is not supported, or a merge is of an unknown token.
    """
    if vocabulary.model == "llama" and vocabulary.scores:
        return _sentencepiece(vocabulary)
    if vocabulary.model == "gpt2" and vocabulary.splitting in SPLITTINGS:
        return _byte_level(vocabulary)
    raise ValueError(
        f"the tokenizer is {vocabulary.model!r} split by {vocabulary.splitting!r}; only 'gpt2' (byte-level BPE) split "
        f"by {', '.join(map(repr, SPLITTINGS))}, and 'llama' (SentencePiece, with scores) are supported"
    )


def _pre_tokenizer(splitting: str) -> pre_tokenizers.PreTokenizer:
    if splitting == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if splitting == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    pattern = Regex(_QWEN_2 if splitting == "qwen2" else _LLAMA_3)
    split = pre_tokenizers.Split(pattern, "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _byte_level(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    merges = [_pair(merge) for merge in vocabulary.merges]
    # As in Llama 3's tokenizer.json: a word that is a token is not built by merges.
    engine = _bpe(_ids(vocabulary), merges, ignore_merges=vocabulary.splitting == "llama-bpe")
    engine.pre_tokenizer = _pre_tokenizer(vocabulary.splitting)
    if vocabulary.splitting == "qwen2":
        engine.normalizer = normalizers.NFC()
    engine.decoder = decoders.ByteLevel()
    _add_tokens(engine, vocabulary)
    return engine


def _sentencepiece(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """SentencePiece's BPE: of two neighbours, those whose joint token has the highest score are joined first."""
    ids = _ids(vocabulary)
    unknown = next(
        (
            token
            for token, kind in zip(vocabulary.tokens, vocabulary.token_types, strict=False)
            if kind == TokenType.UNKNOWN
        ),
        None,
    )
    engine = _bpe(ids, _merges_by_score(vocabulary, ids), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    prefix = [normalizers.Prepend(_SPACE)] if vocabulary.space_prefix else []
    engine.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", _SPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if vocabulary.space_prefix else []
    engine.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    _add_tokens(engine, vocabulary)
    return engine


def _merges_by_score(vocabulary: Vocabulary, ids: dict[str, int]) -> list[tuple[str, str]]:
    types = vocabulary.token_types or [TokenType.NORMAL] * len(vocabulary.tokens)
    merges = []
    for token, score, kind in zip(vocabulary.tokens, vocabulary.scores, types, strict=True):
        if kind != TokenType.NORMAL:
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                merges.append((-score, ids[left], ids[right], left, right))
    return [(left, right) for *_, left, right in sorted(merges)]


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {token: number for number, token in enumerate(vocabulary.tokens)}


def _pair(merge: str) -> tuple[str, str]:
    left, right = merge.split(" ")
    return left, right


def _bpe(ids: dict[str, int], merges: list[tuple[str, str]], **more: object) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer(BPE(ids, merges, **more))
    # The library raises bare exceptions.
    except Exception as error:
        raise ValueError(f"the tokenizer's merges do not fit its tokens ({error})") from error


def _add_tokens(engine: tokenizers.Tokenizer, vocabulary: Vocabulary) -> None:
    kinds = list(zip(vocabulary.tokens, vocabulary.token_types, strict=False))
    engine.add_special_tokens([token for token, kind in kinds if kind == TokenType.CONTROL])
    own = [AddedToken(token, normalized=False) for token, kind in kinds if kind == TokenType.USER_DEFINED]
    engine.add_tokens(own)
    if vocabulary.first is not None:
        first = vocabulary.tokens[vocabulary.first]
        engine.post_processor = processors.TemplateProcessing(
            single=[first, "$A"], special_tokens=[(first, vocabulary.first)]
        )
