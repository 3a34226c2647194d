"""A process forgets what it has compiled before Linux refuses it memory for more."""

import pytest

from experiments.evaluation import compiled_programs


@pytest.mark.parametrize(("may_have", "forgotten"), [(1, True), (10**9, False), (None, False)])
def test_process_forgets_its_programs_before_it_has_too_many_mappings(tmp_path, monkeypatch, may_have, forgotten):
    limit = tmp_path / "max_map_count"
    if may_have is not None:
        limit.write_text(f"{may_have}\n")
    maps = tmp_path / "maps"
    maps.write_text("00400000-00452000 r-xp\n" * 3)
    cleared = []
    monkeypatch.setattr(compiled_programs, "_MAPPINGS", maps)
    monkeypatch.setattr(compiled_programs, "_MAY_HAVE", limit)
    monkeypatch.setattr(compiled_programs.jax, "clear_caches", lambda: cleared.append(True))
    compiled_programs.forget_if_too_many()
    assert bool(cleared) == forgotten
