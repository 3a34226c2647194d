"""Which of the cores of a design a site runs on, in each step of the scan around it, by position or by head."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np

from electronics.part import nearest
from optics.core.site_rule import SiteRule
from optics.interpreter.plan import Site

Kind = Literal["positions", "heads"]
_Ranked = list[tuple[tuple[bool, bool, int], int]]


@dataclasses.dataclass(frozen=True, order=True)
class Choice:
    """The cores of a site in one step, by their numbers in the design.

    Attributes:
        number: the core of every part that `exceptions` does not name; at least one.
        exceptions: the parts of other cores, each with the number of its core.
        parts: positions or heads of the site, 1 without exceptions.
        kind: what the parts are.
    """

    number: int
    exceptions: tuple[tuple[int, int], ...] = ()
    parts: int = 1
    kind: Kind = "positions"

    @property
    def numbers(self) -> tuple[int, ...]:
        """Every core, once."""
        return tuple(sorted({self.number, *(number for _, number in self.exceptions)}))

    @property
    def by_part(self) -> np.ndarray:
        """The number of the core of each part, [parts]."""
        found = np.full(self.parts, self.number)
        for part, number in self.exceptions:
            found[part] = number
        return found

    def share(self, number: int) -> float:
        """The share of the parts that a core has."""
        elsewhere = Counter(other for _, other in self.exceptions)
        own = self.parts - elsewhere.total() if number == self.number else elsewhere[number]
        return own / self.parts


def check_rules(rules: Sequence[SiteRule], sites: Sequence[Site]) -> None:
    """Raise ValueError for a rule that holds for none of all sites of a function."""
    for rule in rules:
        if all(rule.rank(site) is None for site in sites):
            paths = sorted({site.path for site in sites})
            hint = nearest(rule.patterns[0], paths) if rule.patterns else ""
            raise ValueError(f"the rule {rule.label} holds for none of the sites{hint}")


def choices_of(
    rules: Sequence[SiteRule], digital: Collection[int], sites: Sequence[Site]
) -> tuple[tuple[str, tuple[Choice, ...]], ...]:
    """By site name, the choice of each step of the scan around it if they differ, else one.

    Core 0 is that of the sites that no rule holds for, and core n that of the nth rule.

    Args:
        rules: the rules.
        digital: the numbers that stand for no core; the first of them is chosen for any.
        sites: sites of the function, all or some.

    Raises:
        ValueError: see `optics.CoresBySite`.
    """
    chooser = _Chooser(rules, digital)
    return tuple({site.name: chooser.of_site(site) for site in sites}.items())


@dataclasses.dataclass(frozen=True)
class _Chooser:
    rules: Sequence[SiteRule]
    digital: Collection[int]

    def of_site(self, site: Site) -> tuple[Choice, ...]:
        """As `choices_of`."""
        fitting = [(rule.rank(site), number) for number, rule in enumerate(self.rules, start=1)]
        # Parts of a product that stays digital anyway are of no consequence, as positions of attention under "*".
        ranked: _Ranked = [
            (rank, number)
            for rank, number in fitting
            if rank is not None and (site.optical or not self.rule(number).parts)
        ]
        length = site.scan_lengths[0] if site.scan_lengths else 1
        for _, number in ranked:
            _check(self.rule(number), site, length)
        found: dict[tuple[int, ...], Choice] = {}
        choices = []
        for step in range(length):
            here = [each for each in ranked if self.rule(each[1]).holds_at(step, length)]
            holding = tuple(number for _, number in here)
            if holding not in found:
                found[holding] = self.of_step(here, site)
            choices.append(found[holding])
        return tuple(choices) if len(set(choices)) > 1 else (choices[0],)

    def of_step(self, here: _Ranked, site: Site) -> Choice:
        """The choice among the rules that hold in a step."""
        rest = self.closest([each for each in here if not self.rule(each[1]).parts], site)
        kind: Kind = "heads" if any(self.rule(number).heads for _, number in here) else "positions"
        parts: int = getattr(site, kind)
        for _, number in here:
            if kind == "heads" and self.rule(number).positions:
                raise ValueError(f"the rule {self.rule(number).label}: other rules hold for heads of {site.name!r}")
        named = {part % parts for _, number in here for part in self.rule(number).parts}
        chosen = {}
        for part in sorted(named):
            holding = [each for each in here if self.rule(each[1]).holds_for(part, parts)]
            chosen[part] = self.closest(holding, site)
        if chosen and len(chosen) == parts:
            rest = Counter(chosen.values()).most_common(1)[0][0]
        exceptions = tuple((part, number) for part, number in chosen.items() if number != rest)
        return Choice(rest, exceptions, parts, kind) if exceptions else Choice(rest)

    def closest(self, holding: _Ranked, site: Site) -> int:
        """The number of the core of the closest rule, 0 where there is none."""
        best = max((rank for rank, _ in holding), default=None)
        closest = [number for rank, number in holding if rank == best]
        if len(closest) > 1:
            first, second = (self.rule(number).label for number in closest[:2])
            raise ValueError(f"the rules {first} and {second} both hold for site {site.name!r}")
        number = closest[0] if closest else 0
        return min(self.digital) if number in self.digital else number

    def rule(self, number: int) -> SiteRule:
        """The rule of a core."""
        return self.rules[number - 1]


def _check(rule: SiteRule, site: Site, length: int) -> None:
    """Raise ValueError for a step, a position or a head that a site does not have."""
    if beyond := [step for step in rule.steps if not -length <= step < length]:
        raise ValueError(f"the rule {rule.label}: {site.name!r} has {length} steps, and no step {beyond[0]}")
    if rule.positions and not site.positions:
        raise ValueError(
            f"the rule {rule.label}: {site.name!r} is {_in_words(site)}, and only the vectors of a dot_general with "
            "weights have positions"
        )
    if rule.heads and not site.heads:
        raise ValueError(
            f"the rule {rule.label}: {site.name!r} is no dot_general with an axis that numbers its matrices, and only "
            "these have heads"
        )
    for what, name in (("position", "positions"), ("head", "heads")):
        parts: int = getattr(site, name)
        if beyond := [each for each in getattr(rule, name) if not -parts <= each < parts]:
            raise ValueError(f"the rule {rule.label}: {site.name!r} has {parts} {name}, and no {what} {beyond[0]}")


def _in_words(site: Site) -> str:
    """A site without positions, in words."""
    if site.kind != "dot_general":
        return f"a {site.kind}"
    return "a product of weights that data select" if site.weights else "a product of two activations"
