"""Compiled programs are kept in the user's cache, unless JAX has been told where or not to."""

from collections.abc import Iterator

import jax
import pytest

import models
from experiments import compiled

NAMES = ("jax_compilation_cache_dir", "jax_compilation_cache_max_size", "jax_enable_compilation_cache")


@pytest.fixture
def settings(monkeypatch, tmp_path) -> Iterator[None]:
    """JAX as it starts, and as it was afterwards."""
    before = {name: jax.config.values[name] for name in NAMES}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_programs_go_to_the_users_cache_and_not_beyond_its_bound(settings):
    compiled.keep_compiled_programs()
    folder = jax.config.values["jax_compilation_cache_dir"]
    assert folder.startswith(str(models.cache_folder() / "compiled-for-"))
    assert jax.config.values["jax_compilation_cache_max_size"] == compiled.MOST_BYTES


@pytest.mark.parametrize(
    ("name", "value"), [("jax_compilation_cache_dir", "elsewhere"), ("jax_enable_compilation_cache", False)]
)
def test_what_the_user_has_set_stays(settings, name, value):
    jax.config.update(name, value)
    before = {each: jax.config.values[each] for each in NAMES}
    compiled.keep_compiled_programs()
    assert {each: jax.config.values[each] for each in NAMES} == before


def test_another_processor_has_another_folder(settings, monkeypatch, tmp_path):
    def folder(flags):
        described = tmp_path / "cpuinfo"
        described.write_text(f"processor : 0\nflags : {flags}\n")
        monkeypatch.setattr(compiled, "_CPU", described)
        jax.config.update("jax_compilation_cache_dir", None)
        compiled.keep_compiled_programs()
        return jax.config.values["jax_compilation_cache_dir"]

    assert folder("avx2") != folder("avx2 avx512f")
    assert folder("avx2") == folder("avx2")
