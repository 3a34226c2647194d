"""`otc verdict`: the best machine that the parts allow, on models prepared for it, and whether it closes the target."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

import models
import optics
from experiments.adapt.bills import PROMPT
from experiments.common import reporting, verdict
from experiments.common.result_cache import ResultCache
from experiments.common.workload import Workload, shapes_named
from experiments.comparison.achieved import achieved
from experiments.comparison.digital import formats_of
from experiments.comparison.records import Comparison
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.records import Windows
from experiments.serving.model import system_named
from experiments.verdict import judge, records
from experiments.verdict.judge import Judge
from experiments.verdict.losses import Losses, Measured, OverDigital
from experiments.verdict.options import VerdictOptions
from experiments.verdict.prices import Prices
from experiments.verdict.report import figures, text
from experiments.verdict.report.records import (
    ComparisonRecord,
    DesignRecord,
    JudgedRecord,
    ScenarioRecord,
    TrialRecord,
    VerdictSummary,
)
from experiments.verdict.search import Trial, best_merit
from experiments.verdict.space import ON, Design, Space, Structure, otherwise, structures, with_each_mask
from experiments.verdict.variants import AS_IT_IS, Variant, Variants
from experiments.verdict.waterfall import steps_to
from models.equivalent.changes import check_decoder

DIGITAL = ("b200", "rubin")
"""Digital machines beside the designs, of today and of the years of the projection."""


def main(options: VerdictOptions) -> VerdictSummary:
    """Search, judge, print the verdict, write summary.json, figures and designs, and return the summary."""
    options.check()
    checkpoint, windows = options.load_all()
    check_decoder(checkpoint)
    tokens = checkpoint.tokenizer.encode(models.load_text(options.calibrate_on))
    calibrating = models.windows(tokens, 1, options.window_tokens)
    cache = ResultCache(options.out / "results.sqlite", judge.__name__)
    with Evaluator(checkpoint, options.seed, options.out / "results.sqlite") as evaluator:
        summary = _Verdict(options, checkpoint, windows, calibrating, evaluator, cache).run()
    cache.close()
    reporting.write(summary, options.out)
    figures.draw(summary, options.out)
    text.print_report(summary, options.out)
    return summary


class _Verdict:
    """One run of the program."""

    def __init__(
        self,
        options: VerdictOptions,
        checkpoint: models.Checkpoint,
        windows: np.ndarray,
        calibrating: np.ndarray,
        evaluator: Evaluator,
        cache: ResultCache,
    ):
        self.options, self.evaluator, self.cache = options, evaluator, cache
        held_out = windows[: options.windows]
        self.held_out, self.calibrating = Windows(held_out, options.keys), Windows(calibrating)
        # Under noise that the search did not see.
        confirming = windows[options.windows : 2 * options.windows]
        self.confirming = Windows(confirming, options.keys, first=options.keys * options.windows)
        self.of_curves = Windows(windows[2 * options.windows :])
        self.structures = structures(
            options.sizes, options.accumulate, options.attention, options.masks, options.ranges, options.encodings,
            options.columns,
        )  # fmt: skip
        prepared_at = Space(ON, options.set if options.again else ())
        maker = Variants(options.adapt, prepared_at, checkpoint, held_out, evaluator, options.attention)
        self.lines = maker.lines(options.methods, options.folders, options.trained_method)
        every = [maker.as_it_is(), *(variant for line in self.lines for variant in line)]
        self.variants = {variant.name: variant for variant in every}
        # On cores of this size sums of the model take as many row tiles as those of the model that is billed.
        self.scale = min(1.0, checkpoint.config.hidden / shapes_named(options.shapes).hidden)

    def run(self) -> VerdictSummary:
        """Return the summary."""
        options = self.options
        place = self._place()
        judges = {scenario: self._judge(scenario, place) for scenario in options.scenarios}
        trials = {scenario: self._searched(judge) for scenario, judge in judges.items()}
        # Before designs of single steps join those that were judged.
        scenarios = {name: self._scenario(judge, trials[name]) for name, judge in judges.items()}
        steps = self._steps(judges[ON]) if ON in judges else []
        return {
            **options.described(),
            "keys": options.keys,
            "shapes": options.shapes,
            "target_watts": verdict.TARGET_WATTS,
            "limits": list(options.limits),
            "curves": records.curves_record(place),
            "scenarios": scenarios,
            "waterfall": [{"step": step, "design": judges[ON].final(each)} for step, each in steps],
            "masks": self._changed(judges[ON], with_each_mask) if ON in judges else [],
            "otherwise": self._changed(judges[ON], otherwise) if ON in judges else [],
            "comparison": self._comparison(judges),
            "digital": self._digital(),
            "changes": list(options.set),
            "searched_again": options.again,
            "devices": list(options.devices),
            "confirming_devices": list(options.confirming_devices),
            "tiled": options.tiled,
            "search": {
                "text": options.calibrate_on,
                "evaluations": options.evaluations,
                "structures": len(self.structures),
                "seed": options.search_seed,
                "gradient_steps": options.search_steps,
            },
            "versions": reporting.versions(),
        }

    def _place(self) -> OverDigital:
        """Measure the curves by which losses are placed over 8-bit digital."""
        attention = Prices(Space(ON), self.options.shapes, "").attention
        devices = self.options.devices
        losses = Losses(Space(ON), attention, self.evaluator, self.of_curves, self.calibrating, devices)
        curves = {variant.model: losses.curve(variant) for variant in self.variants.values()}
        return OverDigital(curves, self.options.seed)

    def _judge(self, scenario: str, place: OverDigital) -> Judge:
        options, changed = self.options, Space(scenario, self.options.set)
        searched = changed if options.again else Space(scenario)
        measured_on = f"{options.model_name}, first window of {options.text}"
        prices = Prices(changed, options.shapes, measured_on)
        searched_prices = Prices(searched, options.shapes, measured_on)
        scale = self.scale if options.tiled else 1.0
        losses = partial(Losses, evaluator=self.evaluator, calibrating=self.calibrating, scale=scale)
        return Judge(
            options,
            scenario,
            self.structures,
            losses(searched, searched_prices.attention, windows=self.calibrating),
            losses(changed, prices.attention, windows=self.held_out, devices=options.devices),
            place,
            prices,
            searched_prices,
            self.cache,
        )

    def _searched(self, judge: Judge) -> list[TrialRecord]:
        """Search with every model, measure the fronts, and turn the best designs to the limits; return the trials."""
        before = judge.repriced(self.options.judged_before(judge.scenario), self.variants)
        text.announce(judge.scenario, before, " of the designs judged before, at their losses")
        trials, known = list[TrialRecord](), list[list[Trial]]()
        for variant in self.variants.values():
            found = judge.searched(variant, self.options.search_seed, known)
            known.append(found)
            trials += [self._trial(variant, trial) for trial in found]
            judge.add(variant, judge.front(variant, found))
        for limit in self.options.limits:
            judge.turn_to(limit)
            judge.refine(limit)
        judge.settle()
        text.announce(judge.scenario, judge.announced())
        return trials

    def _scenario(self, judge: Judge, trials: list[TrialRecord]) -> ScenarioRecord:
        return {
            "variants": {name: records.variant_record(variant) for name, variant in self.variants.items()},
            "trials": trials,
            "designs": [judge.final(each) for each in judge.measured],
            "best": judge.best(),
            "judged": [self._judged(judge, limit, measured) for limit, measured in judge.chosen().items()],
        }

    def _judged(self, judge: Judge, limit: float, measured: Measured) -> JudgedRecord:
        options, design, variant = self.options, measured.design, self.variants[measured.variant]
        candidate, workload = judge.prices.candidate(design, variant), judge.prices.workload(design, variant)
        energy = verdict.energy(candidate, workload, options.draws, options.sobol_draws, options.seed)
        bills = judge.prices.bills(design.structure)
        energy["bill_rests_on"] = bills.statements(candidate.priced(workload, candidate.core))
        record = judge.final(measured)
        found = achieved(self._billed(judge, design, variant), workload, name=judge.scenario)
        found["delta_nll"] = record["delta_nll"]
        found["accuracy"] = f"{record['delta_nll']:+.3f} nats/token on {options.model_name}, {variant.name}"
        other = dataclasses.replace(judge.losses, windows=self.confirming, devices=options.confirming_devices)
        return {
            "limit": limit,
            "design": record,
            "energy": energy,
            "pairs": records.pair_records(candidate, workload, energy),
            "file": self._save(judge, limit, design, variant),
            "place": judge.prices.attention(design.structure),
            "model": self._model(variant),
            "confirmed": judge.final(judge.measured_by(other, design, variant)),
            "tiled": self._tiled(judge, measured),
            "achieved": found,
        }

    def _save(self, judge: Judge, limit: float, design: Design, variant: Variant) -> str:
        """Write a design and return the name of its file."""
        folder = self.options.out / "designs"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{judge.scenario}-{limit:g}.toml"
        optics.save_by_site(self._billed(judge, design, variant), folder / name)
        return f"designs/{name}"

    def _model(self, variant: Variant) -> str:
        """The folder of a model that is not the one of the run, from `out`, written where the run made it; or empty."""
        if variant.folder is not None:
            return os.path.relpath(variant.folder, self.options.out)
        if variant.model == AS_IT_IS:
            return ""
        name = f"models/{variant.model.replace(', ', '-')}"
        models.save(variant.checkpoint, self.options.out / name, overwrite=True)
        return name

    def _billed(self, judge: Judge, design: Design, variant: Variant) -> optics.CoresBySite:
        """The machine of a design, billed for the drives of its model."""
        core = judge.prices.space.core(*design).replace({"source.mean_drive": variant.drives.mean})
        assert isinstance(core, optics.TensorCore)
        machine = judge.prices.space.placed(core, design.structure, variant.billed, judge.prices.heads)
        assert isinstance(machine, optics.CoresBySite)
        return machine

    def _digital(self) -> list[Comparison]:
        """Digital machines on the same work, peak beside achieved."""
        config = shapes_named(self.options.shapes)
        workload = Workload(config=config, context=min(PROMPT, config.context))
        return [
            achieved(system, workload, precision=precision)
            for system in map(system_named, DIGITAL)
            for precision in formats_of(system)
        ]

    def _tiled(self, judge: Judge, measured: Measured) -> DesignRecord | None:
        """The loss where sums take as many row tiles as those of the model that is billed."""
        if self.options.tiled or self.scale == 1:
            return None
        smaller = dataclasses.replace(judge.losses, scale=self.scale)
        return judge.final(judge.measured_by(smaller, measured.design, self.variants[measured.variant]))

    def _steps(self, judge: Judge) -> list[tuple[str, Measured]]:
        """Measure the steps from the first verdict to the best designs."""
        chosen = sorted(judge.chosen().items(), reverse=True)
        best = [(limit, self.variants[each.variant], each.design) for limit, each in chosen]
        line = next((line for line in self.lines if best and best[0][1] in line), [])
        steps = steps_to(judge.prices.space, [self.variants[AS_IT_IS], *line], best)
        return [(step.name, judge.add(step.variant, [step.design])[0]) for step in steps]

    def _changed(self, judge: Judge, others: Callable[[Structure], list[Structure]]) -> list[DesignRecord]:
        """The best design, and the same with other structures."""
        if not judge.chosen():
            return []
        best = next(iter(judge.chosen().values()))
        designs = [best.design._replace(structure=each) for each in others(best.design.structure)]
        return [judge.final(each) for each in (best, *judge.add(self.variants[best.variant], designs))]

    def _comparison(self, judges: Mapping[str, Judge]) -> list[ComparisonRecord]:
        """Searches of the first model that was trained, or prepared, beside random ones of equal cost."""
        if not self.options.compare:
            return []
        judge, variant = judges[ON], self.lines[0][-1] if self.lines else self.variants[AS_IT_IS]
        return [
            {
                "seed": seed,
                "evaluations": self.options.evaluations,
                "search": best_merit(judge.searched(variant, seed)),
                "random": best_merit(judge.searched(variant, seed, random=True)),
            }
            for seed in range(self.options.search_seed, self.options.search_seed + self.options.compare)
        ]

    def _trial(self, variant: Variant, trial: Trial) -> TrialRecord:
        structure = self.structures[trial.structure]
        return {
            "variant": variant.name, "attention": structure.attention, "structure": str(structure),
            "watts": trial.watts, "kl": trial.kl,
        }  # fmt: skip
