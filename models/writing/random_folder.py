"""Hugging Face folders of random weights, written shard by shard, for models larger than memory."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from tqdm import tqdm

from models.checkpoints.filling import slots
from models.checkpoints.folder import CONFIG, INDEX
from models.formats.family import Family
from models.shape.config import DecoderConfig
from models.writing.config_file import config_fields
from models.writing.safetensors_header import Entry, check_room, cut_into_shards, header, shard_names

SHARD_BYTES = 4 * 2**30
"""Bytes of a shard, by default."""
_FORMAT = np.dtype(ml_dtypes.bfloat16)
# Numbers that are drawn and written at a time.
_DRAWN = 2**22


class _Tensor(NamedTuple):
    """A tensor to be written; `number` among all of them, which its draws depend on."""

    name: str
    shape: tuple[int, ...]
    number: int
    fan_in: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return _FORMAT.itemsize * self.size


def write_random(
    config: DecoderConfig, folder: Path, *, seed: int = 0, shard_bytes: int = SHARD_BYTES, progress: bool = True
) -> None:
    """Write a Hugging Face folder with random bfloat16 weights: matrices normal of variance 1 / fan-in, gains one.

    Each shard is written under another name first, the index and config.json come last. So an interrupted folder is
    refused by `models.load`, and the same call goes on with the shards that it lacks. Memory does not grow with the
    model.

    Args:
        config: the shape.
        folder: made where it is absent.
        seed: of the weights; the same seed gives the same files.
        shard_bytes: bytes of a shard at most, but for a tensor that is larger.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: if no family that is written has such a shape, the folder holds something else, or the disk has too
            little room.
    """
    family, fields = config_fields(config)
    shards = cut_into_shards(_tensors(family, config), shard_bytes)
    names = shard_names(len(shards))
    headers = [_header(shard, seed) for shard in shards]
    missing = _missing(folder, names, headers, shards)
    needed = sum(len(headers[number]) + _bytes(shards[number]) for number in missing)
    check_room(folder, needed)
    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(total=needed, unit="B", unit_scale=True, desc="writing", disable=not progress) as bar:
        for number in missing:
            part = folder / f"{names[number]}.part"
            with part.open("wb") as file:
                file.write(headers[number])
                for data in _drawn(shards[number], seed):
                    file.write(data)
                    bar.update(len(data))
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / names[number])
    places = {tensor.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    total = sum(map(_bytes, shards))
    _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})
    _write_json(folder / CONFIG, fields)


def _tensors(family: Family, config: DecoderConfig) -> list[_Tensor]:
    shapes = family.parameter_shapes(config)
    found = []
    for number, slot in enumerate(slots(shapes, family.folder, 2**31)):
        fan_in = 0 if len(slot.shape) == 1 else slot.shape[1 if slot.parameter == "embedding" else -2]
        found.append(_Tensor(slot.tensor, slot.stored.shape(slot.shape), number, fan_in))
    return found


def _bytes(shard: list[_Tensor]) -> int:
    return sum(tensor.bytes for tensor in shard)


def _header(shard: list[_Tensor], seed: int) -> bytes:
    entries = [Entry(tensor.name, _FORMAT, tensor.shape) for tensor in shard]
    return header(entries, {"random_seed": str(seed)})


def _missing(folder: Path, names: list[str], headers: list[bytes], shards: list[list[_Tensor]]) -> list[int]:
    """Numbers of the shards to write; ValueError where the folder holds other files of weights."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a folder is expected")
    for other in sorted(folder.glob("*.safetensors")) if folder.exists() else ():
        if other.name not in names:
            raise ValueError(f"{folder} holds {other.name}, which is not of this checkpoint: name another folder")
    missing = []
    for number, (name, head, shard) in enumerate(zip(names, headers, shards, strict=True)):
        path = folder / name
        if not path.exists():
            missing.append(number)
            continue
        with path.open("rb") as file:
            same = file.read(len(head)) == head
        if not same or path.stat().st_size != len(head) + _bytes(shard):
            raise ValueError(f"{path} is of another shape, seed or size of shards: name another folder")
    return missing


def _drawn(shard: list[_Tensor], seed: int) -> Iterator[bytes]:
    for tensor in shard:
        generator = np.random.Generator(np.random.SFC64([seed, tensor.number]))
        for first in range(0, tensor.size, _DRAWN):
            count = min(_DRAWN, tensor.size - first)
            if tensor.fan_in:
                values = generator.standard_normal(count, np.float32) * np.float32(tensor.fan_in**-0.5)
            else:
                values = np.full(count, 0.0 if tensor.name.endswith("bias") else 1.0, np.float32)
            yield values.astype(ml_dtypes.bfloat16).tobytes()


def _write_json(path: Path, fields: dict) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(fields, indent=1), encoding="utf-8")
    part.replace(path)
