"""Programs that XLA has compiled: kept in the user's cache, and forgotten by a process that has too many."""

import hashlib
import platform
from pathlib import Path

import jax

from models import cache_folder

# Larger than what all programs of this package leave behind with the models of the guide; the least used go first.
MOST_BYTES = 2 * 1024**3
MOST_MAPPINGS = 0.5
"""Share of the mappings of memory that a process may have, up to which it keeps what it has compiled."""
_CPU = Path("/proc/cpuinfo")
_MAPPINGS, _MAY_HAVE = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def keep_compiled_programs() -> None:
    """Let JAX keep what it compiles for this kind of processor, unless it has been told where or not to."""
    settings = jax.config.values
    if settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / f"compiled-for-{_processor()}"))
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)


def forget_if_too_many() -> None:
    """Forget what this process has compiled where Linux would soon refuse memory for more.

    XLA keeps kernels in mappings of their own, and Linux gives a process 65,530 of them unless it is told otherwise.
    Beyond that a run fails with an error of a library of kernels: `otc verdict` did after some sixty programs of
    SmolLM2. What is needed again is read from the user's cache.
    """
    if not (_MAPPINGS.exists() and _MAY_HAVE.exists()):
        return
    with _MAPPINGS.open("rb") as lines:
        count = sum(1 for _ in lines)
    if count > MOST_MAPPINGS * int(_MAY_HAVE.read_text()):
        jax.clear_caches()


def _processor() -> str:
    """Digest of what a program for CPUs depends on: a home folder may be shared by machines with other instructions."""
    described = [platform.machine(), platform.processor()]
    if _CPU.exists():
        described += sorted({line for line in _CPU.read_text().splitlines() if line.startswith(("flags", "Features"))})
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]
