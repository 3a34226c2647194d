"""A language model on windows of text, as the subject of a sweep."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

import models
import optics
from electronics.part import nearest
from experiments.common.billing import with_mean_drive
from experiments.common.candidates import check_design
from experiments.common.options import check_integer, short_repr
from experiments.common.text_options import Stream, check_context, load_model
from experiments.common.workload import Attention, Workload, attention_policy, check_attention, choices_of, shapes_named
from experiments.evaluation.agreement import Agreement, agreement
from experiments.sweeps.subjects import drive, metrics
from experiments.sweeps.subjects.subject import digest
from optics.core.by_site import Machine
from optics.datapath.diagnostics import total
from optics.interpreter.protocols import prepared

TOKENS_PER_CALL = 1024
MOST_TOKENS = 10**6
SCORES = ("nll", "delta_nll", "kl", "top1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """A language model on the first windows of a text. Each window is a sample.

    Windows of up to 1,024 tokens in all share a forward pass, unless a metric needs its diagnostics.

    Attributes:
        text: a named text or a file.
        model: a Hugging Face folder or a GGUF file of a supported family; empty for SmolLM2-135M-Instruct, which is
            fetched.
        stream: "yes", "no" or "auto", whether layers are read from the model's files as they are multiplied.
        windows: number of windows.
        window_tokens: tokens in a window.
        priced_as: name of the shapes whose prefill is billed; empty for the model's own windows.
        prompt: tokens of that prefill.
        attention: where attention runs, see `experiments.common.workload.Attention`.
    """

    text: str = "owt_5"
    model: str = ""
    stream: Stream = "auto"
    windows: int = 2
    window_tokens: int = 256
    priced_as: str = ""
    prompt: int = 8192
    attention: Attention = "digital"

    @property
    def offered(self) -> Sequence[str]:
        return (*SCORES, *metrics.READINGS)

    @property
    def own_metrics(self) -> Mapping[str, metrics.Metric]:
        return {}

    @property
    def samples(self) -> int:
        return self.windows

    def check(self) -> None:
        for name, least in (("windows", 1), ("window_tokens", 2), ("prompt", 1)):
            check_integer(f"on.{name}", getattr(self, name), least, MOST_TOKENS)
        if self.stream not in get_args(Stream):
            raise ValueError(f"on.stream = {short_repr(self.stream)} must be one of {', '.join(get_args(Stream))}")
        for name in ("text", "model", "priced_as", "attention"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"on.{name} = {short_repr(getattr(self, name))} must be a word in quotes")
        if self.text not in models.text_names() and not Path(self.text).is_file():
            raise FileNotFoundError(
                f"on.text = {self.text!r} is no file{nearest(self.text, list(models.text_names()))}"
            )
        check_attention(self.attention)
        if self.priced_as:
            Workload(config=shapes_named(self.priced_as), context=self.prompt)
        if self.model:
            check_context(self.model, "on.window_tokens", self.window_tokens)

    def check_design(self, design: optics.CoresBySite) -> None:
        config = models.read_config(self.model) if self.model else models.SMOLLM2_135M
        own = Workload(config=config, context=self.window_tokens, attention=self.attention)
        check_design(design, [own, *([self.priced] if self.priced_as else [])])

    @property
    def priced(self) -> Workload:
        """The prefill that is billed in place of the model's own windows."""
        return Workload(config=shapes_named(self.priced_as), context=self.prompt, attention=self.attention)

    def load(self) -> "LoadedText":
        checkpoint = load_model(self.model, self.stream)
        encoded = checkpoint.tokenizer.encode(models.load_text(self.text))
        return LoadedText(self, checkpoint, models.windows(encoded, self.windows, self.window_tokens))

    def describe(self) -> Mapping[str, Any]:
        # Where the weights are has no influence on the results, so an old run goes on whatever is said of it.
        described = {name: value for name, value in dataclasses.asdict(self).items() if name != "stream"}
        return {"kind": "text", **described}


class LoadedText:
    """A model, its windows, and its exact logits [windows, tokens, vocabulary]."""

    def __init__(self, subject: Text, checkpoint: models.Checkpoint, windows: np.ndarray):
        self.subject, self.checkpoint = subject, checkpoint
        tokens = jnp.asarray(windows)
        reference = jax.jit(self._exact)(checkpoint.params, tokens)
        nll = jnp.mean(models.next_token_losses(reference, tokens), axis=1)
        self.operands = (checkpoint.params, tokens, reference, nll)
        self._windows = windows
        run = Workload(config=checkpoint.config, context=subject.window_tokens, attention=subject.attention)
        self.workload = subject.priced if subject.priced_as else run
        self._run, self._policy, self._chosen_by = run, optics.stationary, None
        self.drive_of = "the model that is run" if subject.priced_as else ""
        self.macs = float(subject.windows * sum(site.macs for site in run.sites))
        self.samples = subject.windows
        self.program = ("text", str(checkpoint.config), str(self.workload.config), str(self.workload))

    def placed_on(self, core: Machine, mean_drive: float | None) -> "LoadedText":
        """The subject with its attention placed by the bill of a core, see `PlacedSubject`."""
        if self.subject.attention == "digital":
            return self
        placed = copy.copy(self)
        placed._policy = attention_policy(core, self.subject.attention)
        # As for other programs: the model that is run chooses for the core as it is, another for the drive measured.
        billed = core if mean_drive is None or not self.subject.priced_as else with_mean_drive(core, mean_drive)
        placed._chosen_by = billed
        choices = (
            choices_of(placed._policy, self._run.sites),
            choices_of(attention_policy(billed, self.subject.attention), self.workload.sites),
        )
        placed.program = (*self.program, *choices)
        return placed

    def score(
        self, core: Any, key: jax.Array, number: jax.Array, operands: Any, names: Sequence[str]
    ) -> dict[str, jax.Array]:
        params, *windows = operands
        realized = prepared(core)
        observe = metrics.needs(names, "readings")
        run = optics.emulate(self._scores, policy=self._policy, diagnostics=observe)
        together = 1 if observe else _windows_per_call(self.subject.windows, self.subject.window_tokens)
        calls = self.subject.windows // together
        if calls > 1 and not self.checkpoint.streamed:
            first = [jax.ShapeDtypeStruct((together, *array.shape[1:]), array.dtype) for array in windows[:2]]
            load = optics.load(self._scores, policy=self._policy, diagnostics=observe)
            realized = load(realized, params, *first)

        def call(inputs):
            part, tokens, reference, exact = inputs
            own = jax.random.fold_in(key, number * np.uint32(calls) + part)
            returned = run(realized, own, params, tokens, reference)
            score, seen = returned if observe else (returned, None)
            values = {**score._asdict(), "delta_nll": score.nll - exact}
            if seen is not None:
                values |= {name: v[None] for name, v in metrics.of_readings(names, total(list(seen.values()))).items()}
            return {name: value for name, value in values.items() if name in names}

        parts = [array.reshape(calls, together, *array.shape[1:]) for array in windows]
        values = jax.lax.map(call, (jnp.arange(calls, dtype=jnp.uint32), *parts))
        return {name: value.reshape(-1) for name, value in values.items()}

    def _exact(self, params: Any, tokens: jax.Array) -> jax.Array:
        return jax.lax.map(lambda one: self.checkpoint.forward(params, one[None])[0], tokens)

    def _scores(self, params: Any, tokens: jax.Array, reference: jax.Array) -> Agreement:
        """Agreement of each of several windows in one forward pass."""
        logits = self.checkpoint.forward(params, tokens)
        return jax.vmap(agreement)(logits[:, None], reference[:, None], tokens[:, None])

    def drive(self, core: Machine) -> drive.Drive:
        params, tokens, *_ = self.operands
        calls = ((params, window[None]) for window in tokens)
        return drive.measure_drive(core, self.checkpoint.forward, calls, self._policy)

    def price(self, core: Any, drives: Mapping[str, Any]) -> tuple[optics.Bill, int]:
        own = {} if self.subject.priced_as else drives
        return self.workload.price(core, own, chosen_by=self._chosen_by), self.workload.tokens

    def digest(self) -> str:
        return digest(self.checkpoint.sha256, self._windows.tobytes())


def _windows_per_call(windows: int, tokens: int) -> int:
    """Number of windows that share a forward pass: the masks are loaded once for all, and memory grows with each."""
    most = max(TOKENS_PER_CALL // tokens, 1)
    return max(number for number in range(1, min(most, windows) + 1) if windows % number == 0)
