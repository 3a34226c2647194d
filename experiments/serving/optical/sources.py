"""Optical servers to compare: of presets, and of cores and designs in files of the user's own."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import models
import optics
from experiments.common.candidates import check_design, design_candidate, file_candidate
from experiments.common.workload import Attention, Workload
from experiments.serving.optical.system import NAMEPLATE_MODEL, OpticalSystem
from experiments.serving.optical.unit_costs import PROMPTS

SCENARIOS = ("today", "projected_2029", "physical_limit")


def from_preset(name: str, effective_bits: float, attention: Attention = "digital") -> OpticalSystem:
    """Return servers of a preset's 1,024 x 1,024 cores, with light for `effective_bits` of a dot product."""
    if name not in SCENARIOS:
        raise ValueError(
            f"optical = {name!r} must be one of {', '.join(SCENARIOS)}, or the .toml file of a core or a design"
        )
    return OpticalSystem(
        name=f"optical_{name}",
        core=optics.with_effective_bits(optics.preset(name), effective_bits),
        constants=optics.constants_of(name),
        effective_bits=effective_bits,
        preset=name,
        attention=attention,
    )


def from_file(file: Path, ranges: str, config: models.DecoderConfig, attention: Attention = "digital") -> OpticalSystem:
    """Return servers of the core in a file, or of the design of several cores in it.

    Args:
        file: what `optics.serialise.save` writes, or a design as `optics.load_by_site` reads it.
        ranges: scenario whose ranges hold for the numbers that a core shares with it; all others are exact.
        config: shape of the model that is served, whose sites a design must have.
        attention: where attention of prompts without a cached prefix runs.

    Raises:
        ValueError: for a file that is neither, and for a design whose cores stand only in rules for positions; the
            message names it.
        OSError: for a file that cannot be read.
    """
    by_site = file.suffix == ".toml" and "site" in _table(file)
    candidate = (design_candidate if by_site else file_candidate)(file, ranges, ())
    if isinstance(candidate.core, optics.CoresBySite):
        _check_cores(candidate.core, file)
    check_design(candidate.core, [Workload(config=config, context=PROMPTS[0], attention=attention)])
    return OpticalSystem(
        name=file.stem,
        core=candidate.core,
        constants=candidate.constants,
        file=file,
        sized_on=config if by_site else NAMEPLATE_MODEL,
        attention=attention,
    )


def _check_cores(design: optics.CoresBySite, file: Path) -> None:
    plain = (design.default, *(rule.core for rule in design.rules if not rule.positions))
    if not any(isinstance(core, optics.TensorCore) for core in plain):
        named = "; ".join(rule.label for rule in design.rules if isinstance(rule.core, optics.TensorCore))
        raise ValueError(
            f"{file}: its cores stand only in rules for positions ({named}): a server needs one for all others"
        )


def _table(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def optical_systems(
    names: Sequence[str],
    effective_bits: float,
    ranges: Sequence[str],
    config: models.DecoderConfig,
    taken: Collection[str],
    attention: Sequence[Attention] = ("digital",),
) -> list[OpticalSystem]:
    """Return the servers of presets, by name, and of files that end in .toml or .json.

    Args:
        names: presets and files.
        effective_bits: bits that the light of presets is sized for.
        ranges: as for `from_file`, one for all files or one for each.
        config: as for `from_file`.
        taken: names of other systems.
        attention: where attention of prompts without a cached prefix runs, one for all systems or one for each.

    Raises:
        ValueError: for an unknown preset, a bad file, another number of ranges or places of attention, and two systems
            of one name.
    """
    systems: list[OpticalSystem] = []
    files = [name for name in dict.fromkeys(names) if Path(name).suffix in (".toml", ".json")]
    if len(ranges) not in (1, len(files)):
        raise ValueError(f"ranges = {tuple(ranges)} must be one scenario, or one for each of {len(files)} files")
    of_file = dict(zip(files, ranges if len(ranges) > 1 else [*ranges] * len(files), strict=True))
    every = list(dict.fromkeys(names))
    if len(attention) not in (1, len(every)):
        raise ValueError(f"attention = {tuple(attention)} must be one place, or one for each of {len(every)} systems")
    for number, name in enumerate(every):
        file, place = Path(name), attention[number % len(attention)]
        if name in of_file:
            system = from_file(file, of_file[name], config, place)
        else:
            system = from_preset(name, effective_bits, place)
        if system.name in {*taken, *(other.name for other in systems)}:
            raise ValueError(f"optical = {name!r}: another system is named {system.name!r}; rename the file")
        systems.append(system)
    return systems
