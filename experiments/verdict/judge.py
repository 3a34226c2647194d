"""The judgement of one scenario: searches, the designs of their fronts on held-out text, the best within each limit."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from tqdm import tqdm

from experiments.common.result_cache import ResultCache
from experiments.evaluation.measure import describe_core
from experiments.verdict import search
from experiments.verdict.losses import Losses, Measured, OverDigital
from experiments.verdict.options import VerdictOptions
from experiments.verdict.prices import Prices
from experiments.verdict.records import cheapest, design_of, design_record, in_words
from experiments.verdict.report.records import BestRecord, DesignRecord
from experiments.verdict.search import Problem, Trial
from experiments.verdict.space import FIRST, KNOBS, Design, Structure, shares_of, turned
from experiments.verdict.variants import Variant

LIGHT_STEP = 0.25
"""Effective bits by which the light of a design is turned towards a limit."""
MOST_STEPS = 4
"""Such steps for each limit and model, and for each neighbour of a best design."""
MOST_ROUNDS = 3
"""Times that the neighbours of the best design are run for each limit, as long as one of them is better."""
DEARER = 1.5
"""A neighbour of a best design that costs more than so many times as much is not run."""


class Judge:
    """Searches and judges the designs of one scenario.

    Args:
        options: of the program.
        scenario: whose parts are put together.
        structures: that designs are chosen from.
        search_losses: measures losses on the text that calibrates, at the constants as they are searched.
        losses: measures losses on held-out text, at the constants as they are changed.
        place: what places losses over 8-bit digital.
        prices: at the constants as they are changed.
        searched_prices: at the constants as they are searched.
        cache: of searches.
    """

    def __init__(
        self,
        options: VerdictOptions,
        scenario: str,
        structures: Sequence[Structure],
        search_losses: Losses,
        losses: Losses,
        place: OverDigital,
        prices: Prices,
        searched_prices: Prices,
        cache: ResultCache,
    ):
        self.options, self.scenario, self.structures = options, scenario, list(structures)
        self.search_losses, self.losses, self.place = search_losses, losses, place
        self.prices, self.searched_prices, self.cache = prices, searched_prices, cache
        self.measured: list[Measured] = []
        self.settled: list[Measured] = []
        self.variants: dict[str, Variant] = {}
        self.names_searched: list[str] = []
        self._watts: dict[tuple[str, tuple[float, ...], str], float] = {}

    def problem(self, variant: Variant, known: Sequence[Sequence[Trial]] = ()) -> Problem:
        """What is searched with a model, from the best of the `known` trials on, a sequence for each other model."""

        def loss(number: int, shares: np.ndarray) -> float:
            return self.search_losses.kl(self._design(number, shares), variant)

        def watts(number: int, shares: np.ndarray) -> np.ndarray:
            return self.searched_prices.watts(self.structures[number], shares, variant)

        own = [self.structures.index(FIRST)] if FIRST in self.structures else [0]
        widest = max(range(len(self.structures)), key=lambda number: self._size(number))
        starts = [
            (number, shares_of(self.searched_prices.space.scenario_knobs(self.structures[number])))
            for number in dict.fromkeys([*own, widest])
        ]
        best = search.best_designs([trial for own in known for trial in own])
        return Problem(self.structures, watts, loss, [*starts, *best], known)

    def searched(
        self, variant: Variant, seed: int, known: Sequence[Sequence[Trial]] = (), *, random: bool = False
    ) -> list[Trial]:
        """The trials of a search with a model, from the cache where it has them; `known` as of `problem`."""
        run = search.random_search if random else search.search
        if variant.name not in self.names_searched:
            self.names_searched.append(variant.name)
        # What a search measures is kept by the evaluator; this keeps its path.
        description = [
            [self.scenario, random, seed, self.options.evaluations, [str(each) for each in self.structures]],
            [variant.checkpoint.sha256, self.losses.evaluator.reference.sha256, repr(variant.setting)],
            [variant.drives.by_kind, variant.drives.mean, repr(variant.rotation), self.options.shapes],
            [list(head) for head in variant.heads],
            [describe_core(self.searched_prices.space.base(each), price=True) for each in self.structures],
            [hashlib.sha256(self.search_losses.windows.tokens.tobytes()).hexdigest(), self.options.seed],
            self.search_losses.scale,
        ]
        problem = self.problem(variant, known)
        description.append([[number, shares.tolist()] for number, shares in problem.starts])
        description.append([[list(trial) for trial in own] for own in known])
        with tqdm(total=self.options.evaluations, unit="design", leave=False) as bar:
            bar.set_description_str(f"{self.scenario}, {variant.name}: {'random' if random else 'search'}")
            problem = problem._replace(loss=partial(search.counted, problem.loss, bar))
            found = self.cache.get_or_compute(
                description, lambda: [list(trial) for trial in run(problem, self.options.evaluations, seed)]
            )
        return [Trial(number, tuple(knobs), watts, kl) for number, knobs, watts, kl in found]

    def add(self, variant: Variant, designs: Iterable[Design]) -> list[Measured]:
        """Measure designs on held-out text and keep them."""
        self.variants.setdefault(variant.name, variant)
        named = {f"{number}": design for number, design in enumerate(designs)}
        new = self._measured(self.losses, named, variant)
        self.measured += new
        return new

    def front(self, variant: Variant, trials: Sequence[Trial]) -> list[Design]:
        """The designs of a search that no other beats, at the prices as they are changed; at most `MOST_ON_FRONT`."""
        repriced = [
            trial._replace(watts=self.price(self._design(trial.structure, np.array(trial.knobs)), variant))
            for trial in trials
        ]
        best = search.spread(search.front_of(repriced))
        return [self._design(each.structure, np.array(each.knobs)) for each in best]

    def price(self, design: Design, variant: Variant) -> float:
        """Watts of a design at 1 exaOPS; its own core chooses the operands of attention on masks."""
        key = str(design.structure), tuple(design.knobs.values()), variant.name
        if key not in self._watts:
            self._watts[key] = float(self.prices.bill(*design, variant).watts_at())
        return self._watts[key]

    def turn_to(self, limit: float) -> None:
        """Turn the light of the cheapest design of each model within a limit down as far as the limit goes.

        Where none of a model is within it, the light of its design of least loss is turned up, as far as the range of
        the knob goes.
        """
        for variant in list(self.variants.values()):
            for _ in range(MOST_STEPS):
                best = self._cheapest(variant, limit, self.measured)
                start = best or min(self._own(variant), key=self.place.value)
                change = LIGHT_STEP if best is None else -LIGHT_STEP
                design = self._with_light(start.design, change)
                if design is None or self._is_measured(design, variant):
                    break
                self.add(variant, [design])

    def refine(self, limit: float) -> None:
        """Run the neighbours of the best design within a limit, and of the best that is found so, at most a few times.

        A neighbour has one other choice, another model, or the scenario's knobs. A search that has seen few of its
        structure may not know that it is better.
        """
        for _ in range(MOST_ROUNDS):
            best = self._best(limit, self.measured)
            if best is not None:
                self._add_neighbours(best, limit)
            if self._best(limit, self.measured) is best:
                return

    def _add_neighbours(self, best: Measured, limit: float) -> None:
        """Measure the neighbours of a design, each at the light that takes it to a limit."""
        design, variant = best.design, self.variants[best.variant]
        watts = self.price(design, variant)
        near = [(design, other) for other in self.searched_variants if other is not variant]
        near.append((design._replace(knobs=self.prices.space.scenario_knobs(design.structure)), variant))
        near += [(design._replace(structure=each), variant) for each in search.near(design.structure, self.structures)]
        for neighbour, model in near:
            if self.price(neighbour, model) <= DEARER * watts and not self._is_measured(neighbour, model):
                self._add_to_limit(neighbour, model, limit, watts)

    def _add_to_limit(self, design: Design, variant: Variant, limit: float, most: float) -> None:
        """Measure a design, then with its light turned down or up to a limit, up for less than `most` watts."""
        (found,) = self.add(variant, [design])
        within = self.place.value(found) <= limit
        for _ in range(MOST_STEPS):
            turned_to = self._with_light(found.design, -LIGHT_STEP if within else LIGHT_STEP)
            if turned_to is None or not within and self.price(turned_to, variant) >= most:
                break
            (found,) = self.add(variant, [turned_to])
            if (self.place.value(found) <= limit) != within:
                break

    def settle(self) -> None:
        """Settle which designs the best are chosen from; what is measured later is none of them."""
        self.settled = list(self.measured)

    def chosen(self) -> dict[float, Measured]:
        """The cheapest design of all models within each limit that any is within, once it is settled."""
        found = {limit: self._best(limit, self.settled) for limit in self.options.limits}
        return {limit: best for limit, best in found.items() if best is not None}

    def announced(self) -> dict[float, str]:
        """The best design within each limit in words, once it is settled."""
        found = dict.fromkeys(self.options.limits, "none")
        for limit, each in self.chosen().items():
            watts = self.price(each.design, self.variants[each.variant])
            found[limit] = in_words(watts, each.variant, each.design.structure)
        return found

    def repriced(self, before: Sequence[DesignRecord], variants: Mapping[str, Variant]) -> dict[float, str]:
        """The cheapest of designs judged before within each limit, in words: losses as they were, prices as they are.

        Args:
            before: records of designs; those of other structures or models are left out.
            variants: the models by name.
        """
        named = {str(each) for each in self.structures}
        known = [each for each in before if each["structure"] in named and each["variant"] in variants]
        priced = [(self.price(design_of(each), variants[each["variant"]]), each) for each in known]
        found: dict[float, str] = {}
        for limit in self.options.limits:
            best = cheapest(priced, limit)
            if best is not None:
                watts, each = best
                found[limit] = in_words(watts, each["variant"], each["structure"])
        return found

    def best(self) -> list[BestRecord]:
        """The cheapest design of each model within each limit."""
        records: list[BestRecord] = []
        for limit in self.options.limits:
            for variant in self.searched_variants:
                best = self._cheapest(variant, limit, self.settled)
                design = None if best is None else self.final(best)
                records.append({"limit": limit, "variant": variant.name, "design": design})
        return records

    def final(self, measured: Measured) -> DesignRecord:
        """The record of a measured design, its loss placed by the curve of its model."""
        variant = self.variants[measured.variant]
        core = self.prices.space.core(*measured.design)
        photons = variant.drives.photons_per_mac(core, variant.setting)
        watts = self.price(measured.design, variant)
        return design_record(measured.design, measured, self.place.excess(measured), watts, photons)

    @property
    def searched_variants(self) -> list[Variant]:
        """The models that designs were searched with, without those of single steps."""
        return [variant for name, variant in self.variants.items() if name in self.names_searched]

    def _own(self, variant: Variant) -> list[Measured]:
        return [each for each in self.measured if each.variant == variant.name]

    def _cheapest(self, variant: Variant, limit: float, among: Sequence[Measured]) -> Measured | None:
        own = [each for each in among if each.variant == variant.name]
        good = [each for each in own if self.place.value(each) <= limit]
        return min(good, key=lambda each: self.price(each.design, variant)) if good else None

    def _best(self, limit: float, among: Sequence[Measured]) -> Measured | None:
        """The cheapest design of all models within a limit."""
        of_each = (self._cheapest(each, limit, among) for each in self.searched_variants)
        good = [best for best in of_each if best is not None]
        return min(good, key=lambda each: self.price(each.design, self.variants[each.variant])) if good else None

    def measured_by(self, losses: Losses, design: Design, variant: Variant) -> Measured:
        """Measure a design on other windows, devices or sizes of cores than it is judged on, and keep nothing.

        Args:
            losses: measures them so.
            design: the design.
            variant: the model.
        """
        (found,) = self._measured(losses, {"design": design}, variant)
        return found

    @staticmethod
    def _measured(losses: Losses, designs: Mapping[str, Design], variant: Variant) -> list[Measured]:
        found, digital = losses.of(designs, variant), losses.digital()
        exact, integers, keys = digital["digital_fp32"], digital["digital_w8a8"], losses.windows.keys
        return [
            Measured.of(designs[name], variant.name, variant.model, evaluation, exact, integers, keys)
            for name, evaluation in found.items()
        ]

    def _design(self, number: int, shares: np.ndarray) -> Design:
        return Design(self.structures[number], {name: float(value) for name, value in turned(shares).items()})

    def _size(self, number: int) -> tuple[int, int, bool]:
        structure = self.structures[number]
        return structure.rows * structure.columns, structure.accumulate, structure.attention == "light"

    @staticmethod
    def _with_light(design: Design, change: float) -> Design | None:
        bits = design.knobs["light_bits"] + change
        low, high, _ = KNOBS["light_bits"]
        return design._replace(knobs={**design.knobs, "light_bits": bits}) if low <= bits <= high else None

    def _is_measured(self, design: Design, variant: Variant) -> bool:
        mine = shares_of(design.knobs)
        return any(
            each.design.structure == design.structure and np.allclose(shares_of(each.design.knobs), mine, atol=1e-3)
            for each in self._own(variant)
        )
