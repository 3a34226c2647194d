"""A small sweep of two structures, as a file, and the same run in other processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from experiments import sweeps
from experiments.sweeps.definition import toml_file

DEFINITION = """
core = "projected_2029"
metrics = ["snr_db", "relative_error", "fj_per_mac", "photons_per_mac"]
keys = 2
seed = 3

[set]
columns = 8

[on]
kind = "product"
rows = 12
columns = 8
vectors = 4

[axes]
rows = [8, 16]
adc.enob = { linear = [5, 10], points = 6 }
"light.photons_per_mac" = { log = [10, 1e4], points = 5 }
"""
PER_CALL = 8


@pytest.fixture(scope="session")
def definition(tmp_path_factory) -> Path:
    """120 trials in two groups."""
    path = tmp_path_factory.mktemp("sweep") / "small.toml"
    path.write_text(DEFINITION, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def whole(definition, tmp_path_factory) -> sweeps.SweepResults:
    """The sweep run in one go, in this process."""
    return sweeps.run(toml_file.load(definition), tmp_path_factory.mktemp("whole"), per_call=PER_CALL, progress=False)


@pytest.fixture
def start(definition) -> Callable[..., subprocess.Popen]:
    """Starts a sweep as a program of its own, with more arguments and more of XLA's flags."""

    def begin(out: Path, arguments: Sequence[str] = (), flags: str = "", of: Path = definition) -> subprocess.Popen:
        command = [sys.executable, "-m", "experiments", "sweep", str(of), "--out", str(out), "--no-figures"]
        settings = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
        return subprocess.Popen(
            [*command, "--per-call", str(PER_CALL), *arguments],
            env=os.environ | settings,
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin
