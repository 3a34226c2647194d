"""Headlines of newspapers, serious and satirical, for a probe on the embeddings of an encoder."""

import json

import numpy as np

from models.data.fetch import fetch_headlines


def load_headlines(count: int) -> tuple[list[str], np.ndarray]:
    """Return headlines and whether each is satirical; the file is fetched on the first call (46 MB).

    Args:
        count: number of headlines, the first of 28,614.

    Returns:
        (the headlines, bool [count]).

    Raises:
        ValueError: if `count` is not from 1 to their number.
        FetchError: if the file cannot be fetched.
    """
    lines = fetch_headlines().read_text(encoding="utf-8").splitlines()
    if not 1 <= count <= len(lines):
        raise ValueError(f"count = {count} must be from 1 to {len(lines)} headlines")
    samples = [json.loads(line) for line in lines[:count]]
    return [sample["input"][-1]["content"] for sample in samples], np.array([s["ideal"] == "1" for s in samples])
