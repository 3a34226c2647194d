"""Steps from the design of the first verdict to the best one: what each moves in watts and loss."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.verdict.space import FIRST, Design, Space, Structure
from experiments.verdict.variants import Variant

START = "as first judged"


class Step(NamedTuple):
    """A step: its name, and the design and model after it."""

    name: str
    design: Design
    variant: Variant


def steps_to(space: Space, models: Sequence[Variant], best: Sequence[tuple[float, Variant, Design]]) -> list[Step]:
    """Return the steps from the first verdict to the best designs.

    The structure of the first of the best designs is approached choice by choice, then the models are changed, then
    knobs are turned.

    Args:
        space: of the scenario.
        models: on the way to that of the first of the best designs, as it is first, each the better prepared for light.
        best: (limit, model, design), the design of the least loss last.
    """
    structure, found = FIRST, list[Step]()

    def add(name: str, structure: Structure, variant: Variant) -> None:
        found.append(Step(name, Design(structure, space.scenario_knobs(structure)), variant))

    add(START, structure, models[0])
    if best:
        _, _, (last, _) = best[0]
        for name, changed in _choices(structure, last):
            add(name, changed, models[0])
            structure = changed
    for variant in models[1:]:
        if variant.sets_sites and not any(step.variant.sets_sites for step in found):
            alike = variant.with_sites_alike()
            add(alike.name, structure, alike)
            add(f"{_registers(variant)} by kind of site", structure, variant)
        else:
            add(variant.name, structure, variant)
    for limit, variant, design in best:
        found.append(Step(f"searched, within {limit:g} nats", design, variant))
    return found


def _registers(variant: Variant) -> str:
    """What kinds of sites have of their own, in words."""
    setting = variant.setting
    named = (("light", setting.light), ("gain", setting.gain), ("ranges", setting.loading))
    return " and ".join(name for name, factors in named if factors)


def _choices(first: Structure, last: Structure) -> list[tuple[str, Structure]]:
    """Each choice in which two structures differ, by name, and the structure after it."""
    found, now = [], first
    for name, fields in (
        (f"attention {last.attention}", ("attention",)),
        (f"{last.rows} x {last.columns}", ("rows", "columns")),
        (f"{last.accumulate} tiles a conversion", ("accumulate",)),
        (f"{last.mask} mask", ("mask",)),
        (f"signs by {last.encoding}", ("encoding",)),
        (f"ranges {last.ranges}", ("ranges",)),
    ):
        changed = Structure(**{**vars(now), **{field: getattr(last, field) for field in fields}})
        if changed != now:
            found.append((name, changed))
            now = changed
    return found
