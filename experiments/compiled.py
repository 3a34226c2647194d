"""Programs that XLA has compiled, kept in the user's cache for later runs of the same command."""

import hashlib
import platform
from pathlib import Path

import jax

from models import cache_folder

# Larger than what all programs of this package leave behind with the models of the guide; the least used go first.
MOST_BYTES = 2 * 1024**3
_CPU = Path("/proc/cpuinfo")


def keep_compiled_programs() -> None:
    """Let JAX keep what it compiles for this kind of processor, unless it has been told where or not to."""
    settings = jax.config.values
    if settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / f"compiled-for-{_processor()}"))
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)


def _processor() -> str:
    """Digest of what a program for CPUs depends on: a home folder may be shared by machines with other instructions."""
    described = [platform.machine(), platform.processor()]
    if _CPU.exists():
        described += sorted({line for line in _CPU.read_text().splitlines() if line.startswith(("flags", "Features"))})
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]
