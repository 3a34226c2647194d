"""What was stored is there after any end, and nowhere else than under its own description."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.common import result_cache
from experiments.common.result_cache import Ledger


def test_results_come_back_by_description(tmp_path):
    book = Ledger(tmp_path / "deep" / "results.sqlite")
    assert book.get({"x": 1}) is None
    book.put({"x": 1, "y": [2.5, None]}, {"nll": 3.25})
    assert book.get({"y": [2.5, None], "x": 1}) == {"nll": 3.25}
    assert book.get({"x": 1}) is None


def test_a_change_of_code_forgets(tmp_path, monkeypatch):
    Ledger(tmp_path / "results.sqlite").put("same", 1)
    assert Ledger(tmp_path / "results.sqlite").get("same") == 1
    monkeypatch.setattr(result_cache, "source_digest", lambda: "another")
    assert Ledger(tmp_path / "results.sqlite").get("same") is None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_what_was_put_survives_kill_9(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from experiments.common.result_cache import Ledger\n"
        "book = Ledger(Path(sys.argv[1]))\n"
        "for i in range(5): book.put(i, i * i)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "results.sqlite"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [Ledger(path).get(i) for i in range(6)] == [0, 1, 4, 9, 16, None]
