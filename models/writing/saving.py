"""Writing a checkpoint as a Hugging Face folder that `models.load` reads back."""

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from models.checkpoints.filling import Slot, slots
from models.checkpoints.folder import CONFIG, INDEX, ONE_FILE, TOKENIZER
from models.checkpoints.prompt_files import GENERATION_CONFIG, TEMPLATE, TOKENIZER_CONFIG
from models.tokenizers.tokenizer import Tokenizer
from models.tokenizers.vocabulary import Vocabulary
from models.writing.config_file import family_fields
from models.writing.safetensors_header import FLOATS, Entry, check_room, cut_into_shards, header, shard_names

SHARD_BYTES = 4 * 2**30
"""Bytes of a file of weights, by default."""
_MOST_TENSORS = 2**31
# What may stand in a folder that is replaced.
_OURS = (CONFIG, INDEX, TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, TEMPLATE)
_WEIGHTS = ".safetensors"


class _Tensor(NamedTuple):
    """A tensor to be written, and the places of the parameters that it holds."""

    entry: Entry
    slots: list[Slot]

    @property
    def bytes(self) -> int:
        return self.entry.bytes


def save(
    checkpoint: Checkpoint,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a checkpoint as a Hugging Face folder, from which `load` gives the same parameters to the last bit.

    The folder holds config.json, safetensors, and what the checkpoint has of a tokenizer and of prompts. It is written
    under another name beside its place and then renamed, so that it is there as a whole or not at all.

    Args:
        checkpoint: in memory. Weights are written in the dtypes that they have.
        folder: its parent folders are made where they are absent.
        overwrite: whether a checkpoint that is there already is replaced.
        shard_bytes: bytes of a file of weights at most, but for a tensor that is larger.

    Raises:
        ValueError: if there is something at `folder` and it is not to be overwritten or no checkpoint alone, if the
            parameters are streamed, the family's config.json does not state the shape, a parameter has no name, dtype
            or way back to its stored form there, or the disk has too little room.
    """
    folder = Path(folder)
    if checkpoint.streamed:
        raise ValueError(f"{checkpoint.source} is streamed: its layers are not in memory; load it without stream=True")
    tensors = _tensors(checkpoint)
    dtype = str(jax.tree.leaves(checkpoint.params)[0].dtype)
    fields = family_fields(checkpoint.family, checkpoint.config, dtype)
    _check_place(folder, overwrite)
    check_room(folder, sum(tensor.bytes for tensor in tensors))
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    part = folder.with_name(f".{folder.name}.{mark}.part")
    part.mkdir()
    try:
        _write_weights(part, checkpoint, tensors, shard_bytes)
        _write_prompts(part, checkpoint)
        _write_json(part / CONFIG, fields)
        _put_in_place(part, folder, mark)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_place(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; a folder is expected")
    inside = sorted(each.name for each in folder.iterdir())
    if inside and not overwrite:
        raise ValueError(f"{folder} holds {inside[0]} already: name another folder, or replace it with overwrite=True")
    for name in inside:
        if name not in _OURS and not name.endswith(_WEIGHTS):
            raise ValueError(f"{folder} holds {name}, which is no file of a checkpoint, so it is not replaced")


def _put_in_place(part: Path, folder: Path, mark: str) -> None:
    """Rename the written folder; what was there is put aside first and removed last."""
    old = folder.with_name(f".{folder.name}.{mark}.old")
    if folder.exists():
        folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _tensors(checkpoint: Checkpoint) -> list[_Tensor]:
    form, params = checkpoint.family.folder, _by_path(checkpoint.params)
    shapes = checkpoint.family.parameter_shapes(checkpoint.config)
    expected = {path: leaf.shape for path, leaf in _by_path(shapes).items()}
    if expected.keys() != params.keys():
        raise ValueError(
            f"the parameters and the config differ in {', '.join(sorted(expected.keys() ^ params.keys()))}"
        )
    grouped: dict[str, list[Slot]] = {}
    for slot in slots(shapes, form, _MOST_TENSORS):
        if slot.stored.change is not None:
            raise ValueError(f"parameter {slot.parameter!r} is not written: files of {form.names[0]!r} change it")
        grouped.setdefault(slot.tensor, []).append(slot)
    found = []
    for name, several in grouped.items():
        first = several[0]
        dtypes = sorted({str(params[slot.parameter].dtype) for slot in several})
        if len(dtypes) > 1 or dtypes[0] not in FLOATS:
            raise ValueError(f"tensor {name!r} is of {' and '.join(dtypes)}; it must be of one of {', '.join(FLOATS)}")
        for slot in several:
            if (shape := params[slot.parameter].shape) != expected[slot.parameter]:
                raise ValueError(
                    f"parameter {slot.parameter!r} has shape {shape}; the config says {expected[slot.parameter]}"
                )
        if len(several) != (step := first.stored.every[1]):
            raise ValueError(f"tensor {name!r} interleaves {step} parameters; {len(several)} are known")
        found.append(_Tensor(Entry(name, FLOATS[dtypes[0]], first.stored.shape(first.shape)), several))
    return found


def _by_path(tree: Any) -> dict[str, Any]:
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in jax.tree.flatten_with_path(tree)[0]}


def _stored(tensor: _Tensor, params: dict[str, Any]) -> np.ndarray:
    """The array as it is stored: the inverse of `Stored.arrange`."""
    made = np.empty(tensor.entry.shape, tensor.entry.dtype)
    for slot in tensor.slots:
        array = np.asarray(params[slot.parameter][slot.place] if slot.place else params[slot.parameter])
        array = array.swapaxes(-1, -2) if array.ndim > 1 and slot.stored.transposed else array
        first, step = slot.stored.every
        made[..., first::step] = array
    return made


def _write_weights(folder: Path, checkpoint: Checkpoint, tensors: list[_Tensor], shard_bytes: int) -> None:
    params = _by_path(checkpoint.params)
    shards = cut_into_shards(tensors, shard_bytes)
    names = [ONE_FILE] if len(shards) == 1 else shard_names(len(shards))
    for name, shard in zip(names, shards, strict=True):
        with (folder / name).open("wb") as file:
            file.write(header([tensor.entry for tensor in shard]))
            for tensor in shard:
                # As bytes: NumPy does not hand out the buffer of an array of bfloat16.
                file.write(_stored(tensor, params).tobytes())
            file.flush()
            os.fsync(file.fileno())
    if len(shards) > 1:
        places = {tensor.entry.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        total = sum(tensor.bytes for tensor in tensors)
        _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def _write_prompts(folder: Path, checkpoint: Checkpoint) -> None:
    vocabulary, prompts = checkpoint.vocabulary, checkpoint.prompts
    if vocabulary is not None:
        tokenizer = Tokenizer(vocabulary) if isinstance(vocabulary, Vocabulary) else vocabulary
        tokenizer.save(folder / TOKENIZER)
    stated = dict(prompts.special_tokens)
    if prompts.chat_template is not None:
        stated["chat_template"] = prompts.chat_template
    if stated:
        _write_json(folder / TOKENIZER_CONFIG, stated)
    if prompts.stop_tokens:
        _write_json(folder / GENERATION_CONFIG, {"eos_token_id": list(prompts.stop_tokens)})


def _write_json(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=1), encoding="utf-8")
