"""What the files of a checkpoint say of prompts: chat template, stop tokens, special tokens."""

from pathlib import Path
from typing import Any

from gguf import GGUFReader

from models.checkpoints.folder import CONFIG
from models.checkpoints.gguf_file import metadata
from models.families.registry import read_json
from models.tokenizers.prompts import PromptRules

TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer_config.json", "generation_config.json"
TEMPLATE = "chat_template.jinja"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")
# End of text, of a turn, and of a message with a call of a tool.
_GGUF_STOPS = ("eos", "eot", "eom")


def rules_of_folder(folder: Path, vocabulary: int) -> PromptRules:
    """Return what a Hugging Face folder says of prompts.

    Stop tokens are `eos_token_id` of generation_config.json, or else of config.json. The template is in a file of its
    own or in tokenizer_config.json; of several the one named "default".

    Raises:
        ValueError: if a file is no JSON, or a stop token is none of the model's `vocabulary` tokens.
    """
    tokenizer = _json(folder / TOKENIZER_CONFIG)
    template = tokenizer.get("chat_template")
    if isinstance(template, list):
        named = {each.get("name"): each.get("template") for each in template if isinstance(each, dict)}
        template = named.get("default")
    if (folder / TEMPLATE).is_file():
        template = (folder / TEMPLATE).read_text(encoding="utf-8")
    stops = next(
        (
            (file, stated)
            for file in (GENERATION_CONFIG, CONFIG)
            if (stated := _json(folder / file).get("eos_token_id")) is not None
        ),
        (CONFIG, []),
    )
    return PromptRules(
        chat_template=template if isinstance(template, str) else None,
        stop_tokens=_tokens(folder / stops[0], "eos_token_id", stops[1], vocabulary),
        special_tokens={name: text for name in _SPECIAL if (text := _text(tokenizer.get(name))) is not None},
        source=str(folder),
    )


def rules_of_gguf(reader: GGUFReader, path: Path, vocabulary: int) -> PromptRules:
    """Return what the metadata of a GGUF file say of prompts.

    Raises:
        ValueError: if a stop token is none of the model's `vocabulary` tokens.
    """
    template = metadata(reader, "tokenizer.chat_template", None)
    texts = metadata(reader, "tokenizer.ggml.tokens", [])
    stops: list[int] = []
    for name in _GGUF_STOPS:
        key = f"tokenizer.ggml.{name}_token_id"
        stops += _tokens(path, key, metadata(reader, key, []), vocabulary)
    special = {}
    for name in ("bos", "eos"):
        number = metadata(reader, f"tokenizer.ggml.{name}_token_id", None)
        if isinstance(number, int) and 0 <= number < len(texts):
            special[f"{name}_token"] = texts[number]
    return PromptRules(
        chat_template=template if isinstance(template, str) else None,
        stop_tokens=tuple(dict.fromkeys(stops)),
        special_tokens=special,
        source=str(path),
    )


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _text(token: Any) -> str | None:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _tokens(path: Path, name: str, stated: Any, vocabulary: int) -> tuple[int, ...]:
    numbers = stated if isinstance(stated, list) else [stated]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < vocabulary:
            raise ValueError(f"{path}: {name} is {number!r}; the model has tokens 0 to {vocabulary - 1}")
    return tuple(numbers)
