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
from optics.presets.scenario import SCENARIOS

DRIVE = "source.mean_drive"


def scenario_candidate(
    name: str, settings: Sequence[str], size: int, effective_bits: float, mask: str | None = None
) -> Candidate:
    """Return the square core of a scenario, with some of its constants changed and its light sized.

    Args:
        name: the scenario.
        settings: changes of constants, see `overrides.with_overrides`; they come after those of the mask.
        size: rows and columns.
        effective_bits: bits against the product's own rms that the light is sized for.
        mask: technology whose constants, with their ranges, take the place of those of the scenario's mask.
    """
    base = optics.constants_of(name) if mask is None else _with_technology(name, mask)
    constants = overrides.with_overrides(base, settings, name)
    core = optics.from_constants(
        constants,
        rows=size,
        columns=size,
        effective_bits=effective_bits,
        structure=None if mask is None else optics.mask_structure(mask),
    )
    return Candidate(name=name, core=core, constants=constants, effective_bits=effective_bits)


def masked_preset(name: str, mask: str | None, effective_bits: float = 7.0) -> optics.TensorCore:
    """Return the core of a scenario with the mask of a technology and its light sized, or a preset as it is.

    Raises:
        ValueError: for a mask on a preset that is no scenario, whose light is not sized.
    """
    if name in SCENARIOS and mask is not None:
        return scenario_candidate(name, [], 1024, effective_bits, mask).single
    if name in SCENARIOS:
        return optics.preset(name, effective_bits=effective_bits)
    if mask is not None:
        raise ValueError(f"mask = {mask!r} takes the light of a scenario, and {name} is none: {', '.join(SCENARIOS)}")
    return optics.preset(name)


def assumptions(name: str, mask: str | None) -> list[Constant]:
    """Return the assumed constants of a preset, with those of the mask technology if it has one."""
    if mask is None:
        return optics.assumptions(name)
    return [constant for constant in _with_technology(name, mask).values() if constant.mark == "assumed"]


def _with_technology(scenario: str, mask: str) -> dict[str, Constant]:
    return {**optics.constants_of(scenario), **optics.mask_constants(mask, scenario)}


def mask_in_words(mask: str | None) -> str:
    """Return the technology of the mask, to follow the name of what has it; empty for the scenario's own mask."""
    return "" if mask is None else f", mask {mask}"


def load_core(preset: str, file: Path | None) -> optics.TensorCore:
    """Return the core in a file where there is one, else the preset or device of that name."""
    return optics.preset(preset) if file is None else optics.serialise.load(file)


def load_machine(preset: str, file: Path | None, cores: Path | None, mask: str | None = None) -> Machine:
    """Return the design in the file `cores` where there is one, else what `load_core` gives.

    Args:
        preset: name of a preset or device.
        file: the file of a core, or None.
        cores: the file of a design, or None.
        mask: technology of the mask, of a scenario alone (`masked_preset`).

    Raises:
        ValueError: where both files are given, a mask beside a file, and for a file that is wrong.
    """
    if mask is not None and (file or cores):
        raise ValueError(f"mask = {mask!r} is of a scenario; the core in {file or cores} has its own mask")
    if mask is not None:
        return masked_preset(preset, mask)
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
