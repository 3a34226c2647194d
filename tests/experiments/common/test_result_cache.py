"""A result is found again under its own description and source, whatever ended the process that stored it."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.common import result_cache
from experiments.common.result_cache import ResultCache

MODULE = "experiments.common.options"


def test_get_returns_the_result_of_an_equal_description(tmp_path):
    cache = ResultCache(tmp_path / "deep" / "results.sqlite", MODULE)
    assert cache.get({"x": 1}) is None
    cache.put({"x": 1, "y": [2.5, None]}, {"nll": 3.25})
    assert cache.get({"y": [2.5, None], "x": 1}) == {"nll": 3.25}
    assert cache.get({"x": 1}) is None


def test_get_or_compute_computes_once(tmp_path):
    cache, calls = ResultCache(tmp_path / "results.sqlite", MODULE), []
    assert [cache.get_or_compute("sum", lambda: calls.append(0) or len(calls)) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("changed", ["source_digest", "version"])
def test_get_with_other_source_or_other_versions_returns_none(tmp_path, monkeypatch, changed):
    ResultCache(tmp_path / "results.sqlite", MODULE).put("same", 1)
    assert ResultCache(tmp_path / "results.sqlite", MODULE).get("same") == 1
    monkeypatch.setattr(result_cache, changed, lambda *names: "another")
    assert ResultCache(tmp_path / "results.sqlite", MODULE).get("same") is None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_put_survives_kill_9(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from experiments.common.result_cache import ResultCache\n"
        f"cache = ResultCache(Path(sys.argv[1]), {MODULE!r})\n"
        "for i in range(5): cache.put(i, i * i)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "results.sqlite"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [ResultCache(path, MODULE).get(i) for i in range(6)] == [0, 1, 4, 9, 16, None]
