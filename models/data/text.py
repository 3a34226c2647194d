"""Evaluation texts and their windows."""

import json
import os
from pathlib import Path

import numpy as np

from models.data.fetch import fetch_text, text_names


def load_text(name_or_path: str | os.PathLike[str] = "owt_5") -> str:
    """Return a named evaluation text, or the user's own plain text.

    A named text is the first version (key "0") of each passage of its file, stripped of white
    space at both ends and joined by blank lines; it is fetched on the first call. "owt_5" holds
    672,278 bytes of OpenWebText, "wikipedia_5" 603,675 bytes of Wikipedia, 1000 passages each.

    Args:
        name_or_path: "owt_5", "wikipedia_5", or the path of a UTF-8 file.

    Raises:
        FileNotFoundError: if it is neither a known name nor a file.
        ValueError: if the file is not UTF-8.
        FetchError: if a named text cannot be fetched.
    """
    if name_or_path in text_names():
        lines = fetch_text(str(name_or_path)).read_text(encoding="utf-8").splitlines()
        return "\n\n".join(json.loads(line)["0"].strip() for line in lines)
    check_text(name_or_path)
    path = Path(name_or_path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error


def check_text(name_or_path: str | os.PathLike[str]) -> None:
    """Raise FileNotFoundError or ValueError unless there is such a text, without reading it."""
    path = Path(name_or_path)
    if name_or_path in text_names() or path.is_file():
        return
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a UTF-8 text file is expected, or one of: {', '.join(text_names())}")
    raise FileNotFoundError(
        f"there is no file {path}, and no evaluation text of that name; known: {', '.join(text_names())}"
    )


def windows(tokens: np.ndarray, count: int, length: int) -> np.ndarray:
    """Return the first `count` windows of `length` tokens, consecutive and without overlap.

    Args:
        tokens: int32 [total].
        count: number of windows, at least 1.
        length: tokens in each, at least 1.

    Returns:
        int32 [count, length].

    Raises:
        ValueError: if `count` or `length` is below 1, or there are too few tokens.
    """
    if count < 1 or length < 1:
        raise ValueError(f"count is {count} and length {length}; both must be at least 1")
    if len(tokens) < count * length:
        raise ValueError(
            f"{count} windows of {length} tokens need {count * length} tokens; the text has "
            f"{len(tokens)}, enough for {len(tokens) // length}"
        )
    return np.asarray(tokens[: count * length], dtype=np.int32).reshape(count, length)
