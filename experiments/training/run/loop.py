"""The loop of a run: steps, evaluations, checkpoints, and the reasons to stop."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

import optics
from experiments.common import reporting
from experiments.common.options import check_folder
from experiments.training.method import step as stepping
from experiments.training.method.losses import LOSS
from experiments.training.method.step import WATTS, Numbers, Program, State
from experiments.training.method.trainable import by_path
from experiments.training.run import start
from experiments.training.run.checkpoint import ADAPTED, BEST, LAST, Folder
from experiments.training.run.options import Options
from experiments.training.run.order import Data, batch_of_step, batches_in_order, check_data
from experiments.training.run.outcome import Figures, TrainingResult, check_loss
from experiments.training.run.signals import Interruption


def train(
    loss: Callable[..., Any],
    params: Any,
    data: Data,
    *,
    core: Any,
    held_out: Any = None,
    forward: Callable[..., Any] | None = None,
    options: Options | None = None,
    out: str | Path | None = None,
    policy: optics.Policy = optics.stationary,
    progress: bool = True,
) -> TrainingResult:
    """Train a function of the caller's own under the noise of a core.

    The products of `loss` with `params` run on the core, in step s and micro-batch m as

        key = fold_in(fold_in(jax.random.key(options.seed), s), m)
        optics.emulate(loss)(core, key, params, batch, reference)

    with the gradient of the emulation. The same call goes on with an interrupted run in the folder `out`, to the last
    bit as if it had not been interrupted.

    Args:
        loss: function of (params, batch, reference) that returns the loss as a number, as one number per example, or
            figures by name with "loss" among them, see `Distillation` and `CrossEntropy`.
        params: tree of arrays, the starting point. It is left as it is.
        data: tree of arrays whose leading axis counts examples, or a function of the number of the step that returns
            a batch.
        core: a `TensorCore`, `CoresBySite`, or another core that `optics.emulate` takes; None for exact arithmetic.
        held_out: examples that the best state is chosen by, and patience counts; without them, the last state is best.
        forward: function of (params, batch) whose exact result at the starting parameters is the reference; else None
            is.
        options: how; the default ones unless given.
        out: folder for checkpoints; none are written without it.
        policy: which products run on the core.
        progress: whether a line on stderr shows where the run is.

    Returns:
        The best state, and the curves.

    Raises:
        ValueError: for an option, data or a core that cannot be, before anything is compiled; for a folder with
            another run; if all sites are noisier than their signal.
        DivergedError: if the loss is not finite, or far above that of the start for several steps.
        OSError: if a checkpoint cannot be written. The one before it stays.
        KeyboardInterrupt: after Ctrl-C, when the state has been saved.
    """
    options = options or Options()
    options.check()
    micro = options.batch // options.accumulate
    if not callable(data):
        check_data("data", data, options.batch)
    if held_out is not None:
        check_data("held_out", held_out, micro)
    first = batch_of_step(data, options.seed, 0, options.batch, options.accumulate)
    sample = jax.tree.map(lambda part: part[0], first)
    if out is not None:
        check_folder("out", Path(out))
    program = start.plan(loss, forward, params, sample, core, options, policy)
    folder = None
    if out is not None:
        description = start.describe(program, options, params, data, held_out, core, sample)
        folder = Folder(Path(out), description, reporting.versions())
    with folder.locked() if folder else nullcontext():
        return _Run(program, options, params, data, held_out, core, sample, folder).to_end(progress)


class _Run:
    """A run from its start or its last checkpoint."""

    def __init__(
        self,
        program: Program,
        options: Options,
        params: Any,
        data: Data,
        held_out: Any,
        core: Any,
        sample: Any,
        folder: Folder | None,
    ):
        self.program, self.options, self.data, self.folder = program, options, data, folder
        self.numbers: Numbers = start.numbers_of(options)
        self.params, self.core = jax.tree.map(jax.numpy.asarray, params), core
        self.seen = start.observe(
            program.measured, self.params, self.params, core, self.numbers, sample, options.least_snr
        )
        micro = options.batch // options.accumulate
        self.held_out = None if held_out is None else batches_in_order(held_out, micro)
        hidden = program.hardware.start(core) if program.hardware.knobs else {}
        begin = (self.params, hidden, self.numbers)
        note = folder.note(LAST) if folder else None
        if folder and note:
            self.state: State = folder.load(LAST, jax.eval_shape(stepping.start, program, *begin))
            self.note = note
            best_of = (self.state.weights, self.state.knobs)
            self.best = folder.load(BEST, best_of)
        else:
            self.state = stepping.start(program, *begin)
            self.note = {"step": 0, "losses": [], "held_out": [], "best_step": 0, "waited": 0, "high": 0}
            self.best = jax.tree.map(np.asarray, (self.state.weights, self.state.knobs))
        self.seconds: list[float] = []

    def to_end(self, progress: bool) -> TrainingResult:
        """Take the steps that are left."""
        note, options = self.note, self.options
        if not note["held_out"] and self.held_out is not None:
            self._evaluate()
        with (
            Interruption() as interruption,
            tqdm(total=options.steps, initial=note["step"], unit="step", desc="training", disable=not progress) as bar,
        ):
            while not self._stopped():
                self._step()
                bar.update()
                bar.set_postfix_str(self._postfix())
                due = note["step"] % options.held_out_every == 0 or note["step"] == options.steps
                if due and self.held_out is not None:
                    self._evaluate()
                if note["step"] % options.checkpoint_every == 0 or self._stopped() or interruption.wanted:
                    self._save()
                if interruption.wanted:
                    raise KeyboardInterrupt(self._interrupted())
        return self._result()

    def _step(self) -> None:
        note, options = self.note, self.options
        batch = batch_of_step(self.data, options.seed, note["step"], options.batch, options.accumulate)
        before = time.perf_counter()
        self.state, figures = stepping.step(
            self.program, self.state, self.params, self.core, self.numbers, self.seen.drives, batch
        )
        loss = float(figures[LOSS])
        self.seconds.append(time.perf_counter() - before)
        self._check(loss)
        note["step"] += 1
        note["losses"].append(loss)
        if self.held_out is None:
            note["held_out"] = [*note["held_out"][:1], [note["step"], _floats(figures)]]
            note["best_step"] = note["step"]

    def _check(self, loss: float) -> None:
        """Raise DivergedError where the loss says so; the last checkpoint is from before."""
        note = self.note
        rate = float(stepping.rate_at(self.program, self.numbers, note["step"]))
        kept = self.folder is not None and self.folder.note(BEST) is not None
        note["high"] = check_loss(
            loss, note, self.options, rate, f"is kept in {self.folder.path}" if self.folder and kept else ""
        )

    def _evaluate(self) -> None:
        """Evaluate the state on data held out, and keep it if it is the best."""
        note = self.note
        params, core = self._made(self.state.weights, self.state.knobs)
        draws, batches = self.options.held_out_keys, self.held_out
        found = stepping.evaluate(self.program.measured, draws, params, self.params, core, self.numbers, batches)
        figures = _floats({name: np.mean(values) for name, values in found.items()})
        if self.program.hardware.knobs:
            figures[WATTS] = math.exp(self.program.hardware.log_watts(core, self.seen.drives))
            figures |= _floats(self.program.hardware.values(self.state.knobs))
        best = min((self._merit(each) for _, each in note["held_out"]), default=math.inf)
        note["held_out"].append([note["step"], figures])
        if self._merit(figures) < best:
            note["best_step"], note["waited"] = note["step"], 0
            self._keep_best()
        else:
            note["waited"] += 1

    def _made(self, weights: Any, knobs: Any) -> tuple[Any, Any]:
        """(the parameters, the core) of trained arrays and hidden variables."""
        params = self.program.trained.merge(self.params, weights, self.numbers.clip_sigmas)
        return params, self.program.hardware.core(self.core, knobs)

    def _merit(self, figures: Mapping[str, float]) -> float:
        """The loss, with the price of the watts where hardware is trained."""
        return figures[LOSS] + (self.options.price * math.log(figures[WATTS]) if WATTS in figures else 0.0)

    def _keep_best(self) -> None:
        # Copied: the next step takes the buffers.
        self.best = jax.tree.map(lambda leaf: np.array(leaf, copy=True), (self.state.weights, self.state.knobs))
        if self.folder:
            self.folder.save(BEST, self.best, {"step": self.note["step"]})

    def _save(self) -> None:
        if self.held_out is None:
            self._keep_best()
        if self.folder:
            self.folder.save(LAST, self.state, self.note)

    def _stopped(self) -> str:
        patience = self.options.patience
        if patience is not None and self.held_out is not None and self.note["waited"] >= patience:
            return "patience"
        return "steps" if self.note["step"] >= self.options.steps else ""

    def _postfix(self) -> str:
        parts = [f"loss {self.note['losses'][-1]:.4g}"]
        if self.held_out is not None:
            parts.append(f"held out {self.note['held_out'][-1][1][LOSS]:.4g}")
        if self.options.optimiser is None:
            parts.append(f"rate {float(stepping.rate_at(self.program, self.numbers, self.note['step'])):.2g}")
        return ", ".join(parts)

    def _interrupted(self) -> str:
        where = f"saved in {self.folder.path}; the same command goes on from there" if self.folder else "not saved"
        return f"stopped after step {self.note['step']}, {where}"

    def _result(self) -> TrainingResult:
        note = self.note
        params, core = self._made(*self.best)
        figures = {number: each for number, each in note["held_out"]}
        if self.folder:
            arrays = by_path(params)
            trained = {leaf.path: arrays[leaf.path] for leaf in self.program.trained.leaves}
            self.folder.save(ADAPTED, trained, {"step": note["best_step"]})
        start_figures = note["held_out"][0][1] if note["held_out"] else {}
        return TrainingResult(
            params=params,
            core=core,
            figures=figures.get(note["best_step"], {}),
            at_start=start_figures,
            best_step=note["best_step"],
            steps=note["step"],
            losses=list(note["losses"]),
            held_out=[(number, dict(each)) for number, each in note["held_out"]],
            stopped=self._stopped(),
            snr=self.seen.snr,
            drives=self.seen.drives,
            seconds_per_step=float(np.median(self.seconds[1:])) if len(self.seconds) > 1 else math.nan,
        )


def _floats(figures: Mapping[str, Any]) -> Figures:
    return {name: float(value) for name, value in figures.items()}
