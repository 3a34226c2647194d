"""The runs of `otc adapt`: methods that prepare a model and a core, and their losses over light levels."""

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import models
import optics
from experiments.adapt import setting_search
from experiments.adapt.bills import Bills, Drives, rotation_of
from experiments.adapt.compare import own_light
from experiments.adapt.methods import BY_SITE, LEAST_SQUARES, Method, Prepared, parsed, prepare
from experiments.adapt.options import AdaptOptions
from experiments.adapt.ranges import check_span, least_squares, relative_error
from experiments.adapt.records import MethodRow
from experiments.adapt.rows import Measured, method_row
from experiments.adapt.setting import HEAD, Register, Setting, kind_of, kinds
from experiments.common.result_cache import ResultCache
from experiments.common.text_options import load_model
from experiments.common.workload import attention_policy
from experiments.evaluation.measure import Evaluator, describe_core
from experiments.evaluation.records import Evaluation, EvaluationCase
from models.equivalent import rescaling


class Best(NamedTuple):
    """The method without training of least watts at equal loss, or else of least loss at equal watts."""

    name: str
    checkpoint: models.Checkpoint
    setting: Setting
    rank: tuple[float, float]


class Adapting:
    """The runs of all methods on one core and one text."""

    def __init__(
        self,
        options: AdaptOptions,
        core: optics.TensorCore,
        checkpoint: models.Checkpoint,
        windows: np.ndarray,
        evaluator: Evaluator,
    ):
        self.options, self.core, self.checkpoint, self.evaluator = options, core, checkpoint, evaluator
        self.windows = np.tile(windows, (options.keys, 1))
        text = models.load_text(options.calibrate_on)
        self.sample = models.windows(
            checkpoint.tokenizer.encode(text), options.calibration_windows, options.window_tokens
        )
        self.bills = Bills(options.shapes, options.attention, f"{options.model_name}, first window of {options.text}")
        self.policy = attention_policy(core, options.attention)
        self.plain = Setting(kinds=kinds(self.sites(checkpoint)))
        steps = {step for method in self.methods for step in method.steps}
        if not steps.isdisjoint(BY_SITE):
            self.bills.check_kinds(self.plain.kinds)
        if any(BY_SITE.get(step) == "loading" for step in steps):
            check_span(core, str(options.core or options.preset))

    @property
    def methods(self) -> list[Method]:
        """All methods, with that of trained models."""
        return parsed([*self.options.methods, self.options.trained_method], self.options.seeds)

    def sites(self, checkpoint: models.Checkpoint) -> tuple[optics.Site, ...]:
        """The products of a model on one window. Their names are of the model: an untied head has another."""
        tokens = jax.ShapeDtypeStruct((1, self.options.window_tokens), jnp.int32)
        return optics.trace(checkpoint.forward, policy=self.policy)(checkpoint.params, tokens)

    def run(self) -> tuple[list[MethodRow], Best]:
        """Return the rows of all methods and of all trained models, and the best of the methods."""
        options, rows = self.options, list[MethodRow]()
        best: Best | None = None
        for method in parsed(options.methods, options.seeds):
            made = self.prepared(method, self.checkpoint)
            row = self.row(method.name, made, rows[0] if rows else None, trained=False)
            rows.append(row)
            found = Best(method.name, made.checkpoint, made.setting, _rank(row, rows[0]))
            best = found if best is None or found.rank < best.rank else best
        on_core = parsed([options.trained_method], options.seeds)[-1]
        for folder in options.trained:
            checkpoint = load_model(folder, options.stream)
            check_vocabulary(folder, checkpoint, self.checkpoint)
            made = self.prepared(on_core, checkpoint)
            name = "+".join((_name_of(folder), *on_core.steps))
            rows.append(self.row(name, made, rows[0], trained=True))
        assert best is not None
        return rows, best

    def prepared(self, method: Method, checkpoint: models.Checkpoint) -> Prepared:
        """What the steps of a method make of a model and of the core."""
        return prepare(
            method, checkpoint, self.sample, self.plain, self.options.sinks, self.find_exponents, self.set_by_site
        )

    def find_exponents(
        self, checkpoint: models.Checkpoint, inputs: models.equivalent.InputStatistics, setting: Setting
    ) -> tuple[dict[str, float], int]:
        """Exponents of the least KL, and how many were looked at.

        To make the models of SmolLM2 again takes half a minute, so the exponents are kept beside the evaluations.
        """

        def search() -> Any:
            loss = partial(self.search_loss, setting=setting)
            found = models.equivalent.search_rescaling(checkpoint, inputs, loss, by_place=True)
            return [found.exponents, len(found.tried)]

        exponents, tried = self._kept(["exponents", inputs.sha256], checkpoint, setting, search)
        return exponents, tried

    def search_loss(self, checkpoint: models.Checkpoint, setting: Setting) -> float:
        """KL of a model on the core, on the windows that calibrate."""
        found = self.calibrated(checkpoint, setting, "exponents")
        return float(np.mean([window["kl"] for window in found.windows]))

    def set_by_site(self, step: str, checkpoint: models.Checkpoint, setting: Setting) -> Setting:
        """The setting with what a step sets by kind of site: of the least KL, or of the least squared error."""
        what = BY_SITE[step]
        start = self.least_squares(checkpoint, setting) if what == "loading" else {}
        if step == LEAST_SQUARES:
            return dataclasses.replace(setting, loading=start)
        found = self.calibrated(checkpoint, setting, "drives", observed=True)
        shares = self.bills.shares_of_light(
            self.core, Drives.of(found, self.sites(checkpoint)), rotation_of(checkpoint)
        )
        searched = [what, self.options.search_steps, {kind: round(share, 6) for kind, share in shares.items()}, start]
        # Each step takes seconds, so the factors are kept beside the evaluations.
        factors = self._kept(
            searched,
            checkpoint,
            setting,
            lambda: getattr(self._search(what, checkpoint, setting, shares, start), what),
        )
        return dataclasses.replace(setting, **{what: factors})

    def least_squares(self, checkpoint: models.Checkpoint, setting: Setting) -> dict[str, float]:
        """Factors on the range of the ADCs of the least squared error of the products, by kind of site.

        The head has none. Its squared error is least where its largest logits clip, and these decide the loss: the KL
        of SmolLM2 on projected_2029 is larger with that range of the head than with the core's own.
        """
        own = float(self.core.adc.loading)

        def errors(loading: dict[str, float]) -> dict[str, float]:
            factors = {kind: each / own for kind, each in loading.items()}
            return self.relative_errors(checkpoint, dataclasses.replace(setting, loading=factors))

        found = least_squares(errors, kinds(self.sites(checkpoint)))
        return {kind: each / own for kind, each in found.items() if kind != HEAD}

    def relative_errors(self, checkpoint: models.Checkpoint, setting: Setting) -> dict[str, float]:
        """Squared error of the products over their squares, by kind of site, the mean over its layers."""
        found = self.calibrated(checkpoint, setting, "ranges", observed=True).sites
        sites = [site for site in self.sites(checkpoint) if site.stationary and site.name in found]
        return {kind_of(site.path): relative_error(found[site.name]["snr_db"]) for site in sites}

    def _kept(
        self, searched: list[Any], checkpoint: models.Checkpoint, setting: Setting, search: Callable[[], Any]
    ) -> Any:
        """What a search found for a model on a setting of the core, from the file of the evaluations where it is."""
        description = [
            searched,
            [checkpoint.sha256, self.checkpoint.sha256],
            describe_core(self.core),
            dataclasses.asdict(setting),
            self.sample.tolist(),
            [self.options.attention, self.options.seed],
        ]
        computed_by = Evaluator.__module__, setting_search.__name__, rescaling.__name__
        cache = ResultCache(self.evaluator.cache_path, *computed_by)
        try:
            return cache.get_or_compute(description, search)
        finally:
            cache.close()

    def _search(
        self,
        what: Register,
        checkpoint: models.Checkpoint,
        setting: Setting,
        shares: dict[str, float],
        start: dict[str, float],
    ) -> Setting:
        return setting_search.search_setting(
            what,
            checkpoint,
            self.core,
            setting,
            shares,
            start,
            self.sample,
            partial(jax.jit(self.checkpoint.forward), self.checkpoint.params),
            policy=self.policy,
            steps=self.options.search_steps,
            seed=self.options.seed,
        ).setting

    def calibrated(
        self, checkpoint: models.Checkpoint, setting: Setting, label: str, observed: bool = False
    ) -> Evaluation:
        """The evaluation of a model on the core, on the windows that calibrate; observed on the first of them alone."""
        case = EvaluationCase(
            name="calibration",
            core=setting.machine(self.core),
            windows=1 if observed else len(self.sample),
            attention=self.options.attention,
            observed=observed,
        )
        return self.evaluator.measure(checkpoint, self.sample, [case], label, keep_bar=False)["calibration"]

    def row(self, name: str, made: Prepared, unprepared: MethodRow | None, trained: bool) -> MethodRow:
        """Return the row of a model: digital, and at all light levels on all devices."""
        options, checkpoint = self.options, made.checkpoint
        count = len(self.windows)
        cores = {
            (light, device): made.setting.machine(
                optics.with_source_power(self.core, self.core.source.power * light).replace({"device": device})
            )
            for light in options.light
            for device in options.devices
        }
        cases = [EvaluationCase(name="digital", core=None, windows=count)]
        cases += [
            EvaluationCase(
                name=f"{light:g} x light, device {device}",
                core=core,
                windows=count,
                observed=light == 1.0 and device == options.devices[0],
                attention=options.attention,
            )
            for (light, device), core in cores.items()
        ]
        results = self.evaluator.measure(checkpoint, self.windows, cases, name)
        by_light = {
            light: [results[f"{light:g} x light, device {device}"] for device in options.devices]
            for light in options.light
        }
        measured = Measured(results["digital"], self.exact, by_light, options.keys, self.sites(checkpoint))
        difference = None if trained else self.digital_difference(checkpoint)
        return method_row(name, made, measured, self.core, self.bills, unprepared, trained, difference, options.kl)

    def digital_difference(self, checkpoint: models.Checkpoint) -> float:
        """Largest difference of float32 logits from those of the model as it is, relative to the largest of them."""
        tokens = jnp.asarray(self.windows[:1])
        found = checkpoint.forward(checkpoint.params, tokens)
        return float(jnp.max(jnp.abs(found - self.expected)) / jnp.max(jnp.abs(self.expected)))

    @cached_property
    def exact(self) -> Evaluation:
        """The evaluation of the model as it is, in float32."""
        case = EvaluationCase(name="digital", core=None, windows=len(self.windows))
        return self.evaluator.measure(self.checkpoint, self.windows, [case], "as it is", keep_bar=False)["digital"]

    @cached_property
    def expected(self) -> jax.Array:
        """Float32 logits of the model as it is on the first window."""
        return self.checkpoint.forward(self.checkpoint.params, jnp.asarray(self.windows[:1]))


def _rank(row: MethodRow, unprepared: MethodRow) -> tuple[float, float]:
    """Least is best: watts at equal loss, where the curve reaches it; then loss at equal watts."""
    found, dimmest = row["against_unprepared"]["watts_at_exaops"], row["points"][0]
    watts = found["equal_kl"]
    if watts is None:
        # A method whose loss is less at all light levels has that loss for fewer watts than at the least.
        less = dimmest["kl"] <= own_light(unprepared["points"])["kl"]
        watts = dimmest["watts_at_exaops"] if less else math.inf
    return (watts, math.inf if found["kl"] is None else found["kl"])


def _name_of(folder: Path) -> str:
    """The name of a trained model; those that `otc train` writes are all called "model"."""
    return "/".join(folder.parts[-3:-1]) if folder.name == "model" else folder.name


def check_vocabulary(folder: Path, trained: models.Checkpoint, checkpoint: models.Checkpoint) -> None:
    """Raise ValueError where a trained model cannot be compared with the one that it was trained from."""
    if trained.config.vocabulary != checkpoint.config.vocabulary:
        raise ValueError(
            f"{folder} has a vocabulary of {trained.config.vocabulary} tokens, and {checkpoint.source} one of "
            f"{checkpoint.config.vocabulary}: logits over the same tokens are needed"
        )
