"""Features of a shape that no published family has, as fields of a config.json that this package writes.

Such a file names its architecture as "llama+down_rotation", so that a library that does not know the feature refuses
the folder instead of running another function.
"""

import dataclasses
from typing import Any

from models.formats.fields import Fields
from models.shape.config import DecoderConfig
from models.shape.rotation import Rotation

FEATURE = "down_rotation"
_MARK = f"+{FEATURE}"


def own_fields(config: DecoderConfig, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a config.json with those of a shape's own features."""
    if config.down_rotation is None:
        return fields
    return fields | {
        "model_type": f"{fields['model_type']}{_MARK}",
        FEATURE: {"seed": config.down_rotation.seed},
    }


def published_fields(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (the fields as of a published family, fields of `DecoderConfig` that the own features add).

    Raises:
        ValueError: if a feature is named and not stated, or stated and not named.
    """
    kind = fields.get("model_type")
    named = isinstance(kind, str) and kind.endswith(_MARK)
    if named != (FEATURE in fields):
        raise ValueError(f"model_type is {kind!r} and {FEATURE} is {fields.get(FEATURE)!r}; one needs the other")
    if not named:
        return fields, {}
    assert isinstance(kind, str)
    stated = fields[FEATURE]
    if not isinstance(stated, dict):
        raise ValueError(f"{FEATURE} is {stated!r}; it must be an object with a seed")
    rest = {name: value for name, value in fields.items() if name != FEATURE}
    rotation = Rotation(seed=Fields(stated).get("seed"))
    return rest | {"model_type": kind.removesuffix(_MARK)}, {FEATURE: rotation}


def with_own(config: Any, own: dict[str, Any]) -> Any:
    """Return a shape with its own features."""
    return dataclasses.replace(config, **own) if own else config
