"""The cores that a verdict is asked for: from a scenario, changed constants, or a file of the user's own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import optics
from electronics import Constant
from experiments.common import overrides
from experiments.common.billing import Machine
from experiments.common.verdict import Candidate
from experiments.common.workload import Workload


def scenario_candidate(name: str, settings: Sequence[str], size: int, effective_bits: float) -> Candidate:
    """Return the square core of a scenario, with some of its constants changed and its light sized.

    Args:
        name: the scenario.
        settings: changes of constants, see `overrides.with_overrides`.
        size: rows and columns.
        effective_bits: bits against the product's own rms that the light is sized for.
    """
    constants = overrides.with_overrides(optics.constants_of(name), settings, name)
    core = optics.from_constants(constants, rows=size, columns=size, effective_bits=effective_bits)
    return Candidate(name=name, core=core, constants=constants, effective_bits=effective_bits)


def load_core(preset: str, file: Path | None) -> optics.TensorCore:
    """Return the core in a file where there is one, else the preset or device of that name."""
    return optics.preset(preset) if file is None else optics.serialise.load(file)


def load_machine(preset: str, file: Path | None, cores: Path | None) -> Machine:
    """Return the design in the file `cores` where there is one, else what `load_core` gives.

    Raises:
        ValueError: where both files are given, and for a file that is wrong.
    """
    if cores is None:
        return load_core(preset, file)
    if file is not None:
        raise ValueError(f"core = {file} and cores = {cores}: give one of them")
    return optics.load_by_site(cores)


def check_design(machine: Machine, workloads: Sequence[Workload]) -> None:
    """Raise ValueError where a rule of a design by site fits none of the sites of a workload."""
    if isinstance(machine, optics.CoresBySite):
        for workload in workloads:
            machine.assign(workload.sites)


def file_candidate(file: Path, ranges: str, settings: Sequence[str]) -> Candidate:
    """Return the core in a file, with ranges of its constants.

    Args:
        file: the core's file. A number of it that differs from that of `ranges` is taken to be exact.
        ranges: the scenario whose ranges hold for the numbers that the two share.
        settings: changes of constants, see `overrides.with_overrides`.
    """
    core = optics.serialise.load(file)
    numbers = core.numbers()
    constants: dict[str, Constant] = {}
    for field, constant in optics.constants_of(ranges).items():
        if field not in numbers:
            continue
        value = float(numbers[field])
        shared = np.isclose(value, constant.value, rtol=1e-5, atol=0)
        exact = dataclasses.replace(constant, value=value, low=value, high=value, source=str(file))
        constants[field] = constant if shared else exact
    constants = overrides.with_overrides(constants, settings, overrides.OWN)
    given = {field: c.value for field, c in constants.items() if c.source == overrides.SOURCE}
    return Candidate(name=overrides.OWN, core=core.replace(given), constants=constants, effective_bits=None)
