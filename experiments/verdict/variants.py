"""The models that a design may run: as trained for digital machines, prepared for light, and trained on light."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import models
import optics
from experiments.adapt.adapting import Adapting, check_vocabulary
from experiments.adapt.bills import Drives, rotation_of
from experiments.adapt.methods import parsed
from experiments.adapt.options import AdaptOptions
from experiments.adapt.setting import Setting, kinds
from experiments.common.text_options import Stream, load_model
from experiments.common.workload import attention_policy
from experiments.evaluation.agreement import scored
from experiments.evaluation.measure import Evaluator, describe_core
from experiments.evaluation.records import EvaluationCase
from experiments.verdict.space import FIRST, ON_LIGHT, Heads, Place, Space, every_head
from models.shape.rotation import Rotation

AS_IT_IS, PREPARED, TRAINED = "as it is", "prepared", "trained"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model and the settings of cores that belong to it.

    Attributes:
        name: of the variant.
        checkpoint: the model.
        setting: of the core, see `experiments.adapt.setting`.
        drives: mean drives of the model by kind of site, measured on the core of the scenario.
        steps: what was done to the model and the core.
        longest_sum: terms of the longest sum of the model.
        heads: of the model as it is, those first that lose least on light; empty where no share of them stays digital.
        model: the name of the model, which variants that only set the core otherwise share.
        folder: that the model was read from; None where it is the one of the run or was made by it.
    """

    name: str
    checkpoint: models.Checkpoint
    setting: Setting
    drives: Drives
    steps: tuple[str, ...]
    longest_sum: int
    model: str
    heads: Heads = ()
    folder: Path | None = None

    @property
    def rotation(self) -> Rotation | None:
        """What the model applies before `down`."""
        return rotation_of(self.checkpoint)

    @property
    def sets_sites(self) -> bool:
        """Whether kinds of sites have light, gain or ranges of their own."""
        return bool(self.setting.light or self.setting.gain or self.setting.loading)

    def with_sites_alike(self) -> "Variant":
        """The model on a core with one light, gain and range for all sites, under a name of its own."""
        setting = dataclasses.replace(self.setting, light={}, gain={}, loading={})
        return dataclasses.replace(self, name=f"{self.name}, sites alike", setting=setting)

    @property
    def billed(self) -> Setting:
        """The setting with the drives of the model, so that a design in a file is billed for them."""
        return dataclasses.replace(self.setting, drives=self.drives.by_kind)


class Variants:
    """Makes the variants of a model for the core of one scenario.

    Args:
        options: of the preparation; the text that calibrates, sinks and steps of the search are theirs.
        space: of the scenario whose core the preparation is for.
        checkpoint: the model as it is.
        windows: token ids [windows, tokens], on the first of which drives are measured.
        evaluator: what runs the models.
        places: where the attention of designs runs; heads are put in order where some leave a share of them digital.

    Raises:
        ValueError: for such a place and a model whose layers differ.
    """

    def __init__(
        self,
        options: AdaptOptions,
        space: Space,
        checkpoint: models.Checkpoint,
        windows: np.ndarray,
        evaluator: Evaluator,
        places: Sequence[Place],
    ):
        self.core, self.checkpoint, self.windows, self.evaluator = space.base(FIRST), checkpoint, windows, evaluator
        self.adapting = Adapting(options, self.core, checkpoint, windows, evaluator)
        self.stream: Stream = options.stream
        self.by_head = any(0 < ON_LIGHT[place] < 1 for place in places)
        if self.by_head and not every_head(checkpoint.config):
            raise ValueError(
                "attention = half and most leave some heads of like layers digital, and the model that runs has layers "
                "that differ: choose from --attention digital light"
            )

    def as_it_is(self) -> Variant:
        """The model as it was trained for digital machines, on a core with one light for all sites."""
        return self._variant(AS_IT_IS, self.checkpoint, self.adapting.plain, ())

    def lines(self, methods: Mapping[str, str], folders: Mapping[str, Path], on_core: str) -> list[list[Variant]]:
        """Return the models of each label, the better prepared for light last.

        Args:
            methods: without training, by label, see `experiments.adapt.methods`; they prepare the model and the core.
            folders: of models that were trained from those of their labels.
            on_core: a method that leaves the model as it is, and prepares the core for each of them.
        """
        found: list[list[Variant]] = []
        for label in dict.fromkeys([*methods, *folders]):
            line = list[Variant]()
            if label in methods:
                line.append(self._prepared(_named(PREPARED, label), self.checkpoint, methods[label], ()))
            if label in folders:
                checkpoint = load_model(folders[label], self.stream)
                check_vocabulary(folders[label], checkpoint, self.checkpoint)
                trained = self._prepared(_named(TRAINED, label), checkpoint, on_core, (TRAINED,))
                line.append(dataclasses.replace(trained, folder=folders[label]))
            found.append(line)
        return found

    def _prepared(self, name: str, checkpoint: models.Checkpoint, method: str, before: tuple[str, ...]) -> Variant:
        """A model and the core after the steps of a method; `before` is what was done to the model before them."""
        steps = parsed([method], (0,))[-1]
        made = self.adapting.prepared(steps, checkpoint)
        return self._variant(name, made.checkpoint, made.setting, (*before, *steps.steps))

    def _variant(self, name: str, checkpoint: models.Checkpoint, setting: Setting, steps: tuple[str, ...]) -> Variant:
        # Of a design the drives are those of its own vectors; digital tokens have none.
        machine = setting.machine(self.core)
        case = EvaluationCase(name=name, core=machine, windows=1, observed=True)
        observed = self.evaluator.measure(checkpoint, self.windows, [case], f"drives of {name}", keep_bar=False)[name]
        sites = self.adapting.sites(checkpoint)
        setting = dataclasses.replace(setting, kinds=kinds(sites))
        return Variant(
            name,
            checkpoint,
            setting,
            Drives.of(observed, sites),
            steps,
            max(site.rows for site in sites),
            name,
            self.heads if self.by_head else (),
        )

    @cached_property
    def heads(self) -> Heads:
        """All heads, those first that lose least on the core of the scenario, each measured alone.

        It is the order of the model as it is, for all models: designs that differ in no more share compiled programs.
        """
        model, tokens = self.checkpoint, jnp.asarray(self.adapting.sample)
        seed, count = self.adapting.options.seed, len(every_head(model.config))
        score = scored(dataclasses.replace(model, params={}).forward)

        def measured() -> Any:
            exact = jax.jit(model.forward)(model.params, tokens)
            with tqdm(total=count, unit="head", leave=False, desc="heads") as bar:
                found = optics.losses_by_head(
                    lambda *args: score(*args).kl,
                    self.core,
                    jax.random.key(seed),
                    *(model.params, tokens, exact),
                    policy=attention_policy(self.core, "light"),
                    progress=lambda done: bar.update(done - bar.n),
                )
            return found.tolist()

        text = hashlib.sha256(self.adapting.sample.tobytes()).hexdigest()
        description = ["loss by head", model.sha256, describe_core(self.core), text, seed]
        losses = np.array(self.evaluator.cache.get_or_compute(description, measured))
        order = np.argsort(losses, axis=None, kind="stable")
        return [(int(layer), int(head)) for layer, head in zip(*np.unravel_index(order, losses.shape), strict=True)]


def _named(kind: str, label: str) -> str:
    return f"{kind}, {label}" if label else kind
