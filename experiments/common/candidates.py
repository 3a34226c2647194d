"""The cores on trial, from scenarios, changed constants, and a file of the user's own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import optics
from electronics import Constant
from experiments.common import overrides
from experiments.common.verdict import Candidate


def of_scenario(name: str, settings: Sequence[str], size: int, effective_bits: float) -> Candidate:
    """The square core of a scenario with some of its constants changed, its light sized for `effective_bits`."""
    constants = overrides.changed(optics.constants_of(name), settings, name)
    core = optics.from_constants(constants, rows=size, columns=size, effective_bits=effective_bits)
    return Candidate(name=name, core=core, constants=constants, effective_bits=effective_bits)


def preset_or_file(preset: str, file: Path | None) -> optics.TensorCore:
    """The core in a file where there is one, else the preset or device of that name."""
    return optics.preset(preset) if file is None else optics.serialise.load(file)


def of_file(file: Path, ranges: str, settings: Sequence[str]) -> Candidate:
    """The user's core: its own numbers are exact, those that it shares with `ranges` are as uncertain as there."""
    core = optics.serialise.load(file)
    numbers = core.numbers()
    constants: dict[str, Constant] = {}
    for field, constant in optics.constants_of(ranges).items():
        if field not in numbers:
            continue
        value = float(numbers[field])
        same = np.isclose(value, constant.value, rtol=1e-5, atol=0)
        known = dataclasses.replace(constant, value=value, low=value, high=value, source=str(file))
        constants[field] = constant if same else known
    constants = overrides.changed(constants, settings, overrides.OWN)
    given = {field: c.value for field, c in constants.items() if c.source == overrides.SOURCE}
    return Candidate(name=overrides.OWN, core=core.replace(given), constants=constants, effective_bits=None)
