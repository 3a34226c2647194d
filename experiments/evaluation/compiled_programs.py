"""What a process has compiled, forgotten before it is too much."""

from pathlib import Path

import jax

MOST_MAPPINGS = 0.5
"""Share of the mappings of memory that a process may have, up to which it keeps what it has compiled."""
_MAPPINGS, _MAY_HAVE = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def forget_if_too_many() -> None:
    """Forget what this process has compiled where Linux would soon refuse memory for more.

    XLA keeps kernels in mappings of their own, and Linux gives a process 65,530 of them unless it is told otherwise.
    Beyond that a run fails with an error of a library of kernels: `otc verdict` did after some sixty programs of
    SmolLM2. What is needed again is read from the user's cache.
    """
    count = mappings()
    if count is not None and _MAY_HAVE.exists() and count > MOST_MAPPINGS * int(_MAY_HAVE.read_text()):
        jax.clear_caches()


def mappings() -> int | None:
    """Return how many mappings of memory this process has; None where the system does not say."""
    return _MAPPINGS.read_bytes().count(b"\n") if _MAPPINGS.exists() else None
