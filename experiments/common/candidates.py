"""The cores that a verdict is asked for: from a scenario, changed constants, or a file of the user's own."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import optics
from electronics import Constant
from experiments.common import overrides
from experiments.common.verdict import Candidate
from experiments.common.workload import Workload
from optics.core.by_site import Machine

DRIVE = "source.mean_drive"


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
            machine.assign(workload.sites_on(machine))


def file_candidate(file: Path, ranges: str, settings: Sequence[str]) -> Candidate:
    """Return the core in a file, with ranges of its constants.

    Args:
        file: the core's file. A number of it that differs from that of `ranges` is taken to be exact.
        ranges: the scenario whose ranges hold for the numbers that the two share.
        settings: changes of constants, see `overrides.with_overrides`.
    """
    core = optics.serialise.load(file)
    constants = overrides.with_overrides(_own_constants(core, ranges, file), settings, overrides.OWN)
    return Candidate(name=overrides.OWN, core=core.replace(_given(constants)), constants=constants, effective_bits=None)


def design_candidate(file: Path, ranges: str, settings: Sequence[str]) -> Candidate:
    """Return the design in a file, with ranges of its constants.

    A constant that is the same in all cores is one of the technology: it is drawn once, for all of them. One that
    differs has the name of its core, and is drawn for that core alone where it is that of `ranges`. The mean drive is
    one of the model, and is that of the first core for all until it is measured.

    Args:
        file: the file of a design, see `optics.load_by_site`.
        ranges: as for `file_candidate`.
        settings: changes of constants, see `overrides.with_overrides`.
    """
    design = optics.load_by_site(file)
    own = {name: _own_constants(core, ranges, file) for name, core in design.by_name.items()}
    constants: dict[str, Constant] = {}
    for field in dict.fromkeys(field for each in own.values() for field in each):
        of_cores = [each.get(field) for each in own.values()]
        if field == DRIVE or all(constant == of_cores[0] for constant in of_cores):
            constants[field] = next(each[field] for each in own.values() if field in each)
        else:
            constants |= {f"{name}.{field}": each[field] for name, each in own.items() if field in each}
    constants = overrides.with_overrides(constants, settings, overrides.DESIGN)
    return Candidate(name=file.name, core=design.replace(_given(constants)), constants=constants, effective_bits=None)


def _own_constants(core: optics.TensorCore, ranges: str, file: Path) -> dict[str, Constant]:
    """Constants of a core from a file: with the ranges of a scenario where its value is that of the scenario."""
    numbers = core.numbers()
    constants: dict[str, Constant] = {}
    for field, constant in optics.constants_of(ranges).items():
        if field not in numbers:
            continue
        value = float(numbers[field])
        shared = np.isclose(value, constant.value, rtol=1e-5, atol=0)
        exact = dataclasses.replace(constant, value=value, low=value, high=value, source=str(file))
        constants[field] = constant if shared else exact
    return constants


def _given(constants: Mapping[str, Constant]) -> dict[str, float]:
    """Values of the constants that were set on the command line."""
    return {field: c.value for field, c in constants.items() if c.source == overrides.SOURCE}
