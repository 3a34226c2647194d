"""A Hugging Face folder: config.json, safetensors in one file or in shards with an index, tokenizer.json."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from models.checkpoints.safetensors_file import open_safetensors
from models.checkpoints.stored_tensor import StoredTensor, Tensors
from models.families.registry import read_json

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
ONE_FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Formats whose files are programs, or may be: they are never opened.
RUN_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def refuse_code(path: Path) -> None:
    """Raise ValueError for a file of a format that can run code when it is opened."""
    if path.suffix in RUN_CODE:
        raise ValueError(
            f"{path} is a pickle file, which can run code when it is opened, so it is not read. Save the model as "
            "safetensors, as with transformers' model.save_pretrained(folder), where the file's origin is trusted"
        )


def check_folder(folder: Path) -> None:
    """Raise unless a folder holds a config and safetensors; only names of files are looked at.

    Raises:
        ValueError: if one of them is missing, or the weights are only there in a format that can run code.
    """
    if not (folder / CONFIG).is_file():
        inside = sorted(each.name for each in folder.glob("*.gguf"))
        named = f"; it holds {', '.join(inside[:3])}, which can be named itself" if inside else ""
        raise ValueError(f"{folder} is a folder without {CONFIG}, so it is no Hugging Face checkpoint{named}")
    if (folder / INDEX).is_file() or (folder / ONE_FILE).is_file():
        return
    for each in sorted(folder.iterdir()):
        refuse_code(each)
    raise ValueError(f"{folder} holds neither {ONE_FILE} nor {INDEX}")


def shards(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder.

    Raises:
        ValueError: if the index is no index, or names a file that is missing or lies outside the folder.
    """
    index = folder / INDEX
    if not index.is_file():
        return [folder / ONE_FILE]
    places = _weight_map(index)
    for tensor, name in places.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index} places tensor {tensor!r} in {name!r}; a safetensors file beside it is expected")
        if not (folder / name).is_file():
            raise ValueError(f"{index} places tensor {tensor!r} in {name}, and there is no such file")
    return [folder / name for name in sorted(set(places.values()))]


def folder_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Return the tensors of all files of a folder by name. Only headers are read.

    Raises:
        ValueError: if a file is damaged or truncated, lacks a tensor that the index places in it, or holds one of
            another file.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in shards(folder):
        for name, tensor in open_safetensors(path).items():
            if name in tensors:
                raise ValueError(f"tensor {name!r} is both in {tensors[name].file} and in {path}")
            tensors[name] = tensor
    index = folder / INDEX
    for name, place in _weight_map(index).items() if index.is_file() else ():
        if name not in tensors or tensors[name].file.name != place:
            raise ValueError(f"tensor {name!r} is missing in {folder / place}, where {index.name} places it")
    return tensors


def digest(folder: Path) -> str:
    """Return the hexadecimal SHA-256 digest of names and contents of a folder's config, weights and tokenizer."""
    total = hashlib.sha256()
    for path in files(folder):
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def files(folder: Path) -> list[Path]:
    """Return a folder's config, tokenizer and weights."""
    return [path for path in (folder / CONFIG, folder / TOKENIZER, *shards(folder)) if path.is_file()]


def quick_digest(paths: Sequence[Path], tensors: Tensors) -> str:
    """Return the hexadecimal SHA-256 digest of files' names, sizes and times of change, and of their tensors' shapes.

    It reads no tensor: the digest of what a large model holds takes as long as to read it.
    """
    total = hashlib.sha256()
    for path in paths:
        status = path.stat()
        total.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    for name, tensor in tensors.items():
        total.update(f"{name} {tensor.shape} {tensor.dtype} {tensor.file.name}\n".encode())
    return total.hexdigest()


def _weight_map(index: Path) -> dict[str, str]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{index} has no weight_map of tensors to files")
    return places
