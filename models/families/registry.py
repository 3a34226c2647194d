"""All families, and which one a file is of. A new family joins `FAMILIES`."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.families.deepseek import DEEPSEEK_V3
from models.families.gemma import GEMMA2, GEMMA3
from models.families.gpt_oss import GPT_OSS
from models.families.llama import LLAMA
from models.families.mistral import MISTRAL
from models.families.mixtral import MIXTRAL
from models.families.qwen import QWEN2, QWEN3, QWEN3_MOE
from models.families.smollm3 import SMOLLM3
from models.formats.family import Family
from models.formats.fields import Fields
from models.formats.own_features import published_fields, with_own
from models.shape.config import DecoderConfig

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.folder.names[0]: family
        for family in (LLAMA, SMOLLM3, MISTRAL, QWEN2, QWEN3, GEMMA2, GEMMA3, MIXTRAL, QWEN3_MOE, GPT_OSS, DEEPSEEK_V3)
    }
)
"""The families by the first name of their architecture in config.json."""


def family_of_folder(model_type: object) -> Family:
    """Return the family of a `model_type` of config.json. Raises ValueError for one that is not supported."""
    for family in FAMILIES.values():
        if model_type in family.folder.names:
            return family
    known = [name for family in FAMILIES.values() for name in family.folder.names]
    raise ValueError(f"model_type is {model_type!r}; supported are {', '.join(sorted(known))}")


def family_of_gguf(architecture: object, fields: Fields) -> Family:
    """Return the family of a `general.architecture` of GGUF. Raises ValueError for one that is not supported."""
    known = set()
    for family in FAMILIES.values():
        if family.gguf is not None:
            known.update(family.gguf.names)
            if architecture in family.gguf.names and family.gguf.is_of(fields):
                return family
    raise ValueError(f"the architecture is {architecture!r}; supported are {', '.join(sorted(known))}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON object.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path} holds a {type(fields).__name__} in JSON; named fields are expected")
    return fields


@dataclasses.dataclass(frozen=True)
class Shape:
    """A family and the config of one of its models."""

    family: Family
    config: Any


def shape_from_json(path: Path, family: Family | None = None) -> Shape:
    """Return family and config that a config.json states; a family of the caller's own reads any.

    Raises as `config_from_json`.
    """
    fields = read_json(path)
    try:
        fields, own = published_fields(fields)
        family = family or family_of_folder(fields.get("model_type"))
        _check_quantisation(fields.get("quantization_config"))
        return Shape(family, with_own(family.folder.config(Fields(fields)), own))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def config_from_json(path: str | os.PathLike[str]) -> DecoderConfig:
    """Read the shape of a model from a Hugging Face `config.json`.

    Absent keys take the defaults of transformers.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, describes an architecture that is not supported, lacks a required key, or
            uses a variant that is not supported (another activation or rotary rule).
    """
    return shape_from_json(Path(path)).config


def _check_quantisation(stated: object) -> None:
    method = stated.get("quant_method") if isinstance(stated, dict) else stated
    if method not in (None, "mxfp4"):
        raise ValueError(f"quantization_config is of {method!r}; weights are read as floats or as 'mxfp4'")
