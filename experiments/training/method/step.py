"""One compiled step of noise-aware training, and the evaluation of a state on data held out.

In step s, micro-batch m runs on the core under the key

    fold_in(fold_in(key(seed), s), m)

so that a resumed run needs no key of its own. The gradient is that of the emulation: noise is reparametrised, and
rounding passes it straight through. Numbers of the core, rates and seeds are arguments: new ones compile nothing.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

import optics
from experiments.training.method.codesign import Hardware, with_device
from experiments.training.method.losses import LOSS, figures_of
from experiments.training.method.trainable import Trained

HELD_OUT_STREAM = 2**32 - 1
START_STREAM = 2**32 - 2
WATTS = "watts"
SERIAL_NUMBERS = 2**24 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What runs on a core: part of the structure of a step and of an evaluation, which share what is compiled if equal.

    Attributes:
        loss: function of (params, batch, reference) on the core, see `experiments.training.method.losses`.
        forward: function of (params, batch) whose exact result at the starting parameters is the reference, or None.
        redrawn: whether each step, or each draw of an evaluation, has a device of its own.
        policy: which products run on the core.
    """

    loss: Callable[..., Any]
    forward: Callable[..., Any] | None = None
    redrawn: bool = False
    policy: Callable[..., Any] = optics.stationary

    def figures(self, params: Any, at_start: Any, core: Any, key: jax.Array, batch: Any) -> dict[str, jax.Array]:
        """Return the figures of parameters on a batch; on exact arithmetic where `core` is None.

        Args:
            params: the parameters.
            at_start: those of the reference.
            core: what the products run on.
            key: of the noise.
            batch: tree of arrays.
        """
        reference = self.reference(at_start, batch)
        if core is None:
            return figures_of(self.loss(params, batch, reference))
        return figures_of(optics.emulate(self.loss, policy=self.policy)(core, key, params, batch, reference))

    def reference(self, at_start: Any, batch: Any) -> Any:
        """Return the exact result of `forward`, a constant of the step."""
        return None if self.forward is None else jax.lax.stop_gradient(self.forward(at_start, batch))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """The structure of a step: two equal ones share what is compiled.

    Attributes:
        measured: what runs on the core.
        trained: the trained parameters.
        hardware: the trained numbers of the core.
        optimiser: of the weights; None for AdamW with `Numbers`.
        steps: in the run, which the schedule of AdamW ends with.
        warmup: of them, while the rate rises.
        accumulate: micro-batches in a step, whose gradients are averaged.
    """

    measured: Measured
    trained: Trained
    hardware: Hardware
    optimiser: optax.GradientTransformation | None
    steps: int
    warmup: int
    accumulate: int


class Numbers(NamedTuple):
    """The numbers of a step, none of which is compiled for.

    Attributes:
        rate: of AdamW, at its height.
        final_rate: at the last step, over that.
        weight_decay: of AdamW, on matrices on the mask.
        gradient_norm: longer gradients are scaled to it; infinite for none.
        clip_sigmas: where weights on the mask are clipped.
        knob_rate: of Adam on the hidden variables of the knobs.
        price: loss per unit of ln(watts).
        seed: of the noise.
        device_seed: of the devices, where they are redrawn.
    """

    rate: Any
    final_rate: Any
    weight_decay: Any
    gradient_norm: Any
    clip_sigmas: Any
    knob_rate: Any
    price: Any
    seed: Any
    device_seed: Any


class State(NamedTuple):
    """What a run goes on from: trained arrays and knobs, states of their optimisers, and the number of steps done."""

    weights: Any
    knobs: Any
    moments: Any
    knob_moments: Any
    step: jax.Array


@partial(jax.jit, static_argnums=0)
def start(program: Program, params: Any, hidden: Any, numbers: Numbers) -> State:
    """Return the state before the first step.

    Args:
        program: the structure.
        params: the starting parameters.
        hidden: variables of the trained numbers of the core, see `Hardware.start`.
        numbers: for the seed of low-rank factors.
    """
    key = jax.random.fold_in(jax.random.key(numbers.seed), START_STREAM)
    weights = program.trained.start(params, key)
    return State(
        weights=weights,
        knobs=hidden,
        moments=_optimiser(program, numbers).init(weights),
        knob_moments=_knob_optimiser(program, numbers).init(hidden),
        step=jnp.int32(0),
    )


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def step(
    program: Program, state: State, params: Any, core: Any, numbers: Numbers, drives: Any, batch: Any
) -> tuple[State, dict[str, jax.Array]]:
    """Take one step and return (state, figures of the batch before it).

    Args:
        program: the structure.
        state: where the run is; its buffers are given away.
        params: the starting parameters, which are also those of the reference.
        core: what the products run on; None for exact arithmetic.
        numbers: rates, seeds and limits.
        drives: mean drive by site name, which the light of trained hardware is billed for.
        batch: tree of arrays [accumulate, examples, ...].
    """
    keys = jax.random.fold_in(jax.random.key(numbers.seed), state.step)
    if program.measured.redrawn:
        core = with_device(core, serial_number(numbers.device_seed, state.step))

    def of_micro_batch(number: jax.Array, part: Any) -> tuple[Any, Any]:
        key = jax.random.fold_in(keys, number)
        return jax.grad(partial(objective, program), argnums=(0, 1), has_aux=True)(
            state.weights, state.knobs, params, core, key, numbers, drives, part
        )

    gradient, figures = _mean_over_micro_batches(program.accumulate, of_micro_batch, batch)
    with jax.numpy_dtype_promotion("standard"):
        # Adam raises a float to the power of its integer count.
        change, moments = _optimiser(program, numbers).update(gradient[0], state.moments, state.weights)
        weights = optax.apply_updates(state.weights, change)
        change, knob_moments = _knob_optimiser(program, numbers).update(gradient[1], state.knob_moments)
        knobs = optax.apply_updates(state.knobs, change)
    weights = program.trained.clip(cast(Mapping[str, Any], weights), numbers.clip_sigmas)
    return State(weights, knobs, moments, knob_moments, state.step + 1), figures


@partial(jax.jit, static_argnums=(0, 1))
def evaluate(
    measured: Measured, draws: int, params: Any, at_start: Any, core: Any, numbers: Numbers, batches: Any
) -> dict[str, jax.Array]:
    """Return figures by name, each [draws, batches], of parameters on data held out, under noise of its own.

    The same noise in each call, so that two states are compared under equal conditions.

    Args:
        measured: what runs on the core.
        draws: of the noise, and of the device where it is redrawn.
        params: the parameters.
        at_start: those of the reference.
        core: what the products run on; None for exact arithmetic.
        numbers: for their seeds.
        batches: tree of arrays [batches, examples, ...].
    """
    base = jax.random.fold_in(jax.random.key(numbers.seed), HELD_OUT_STREAM)

    def of_draw(draw: jax.Array) -> dict[str, jax.Array]:
        there = core
        if measured.redrawn and core is not None:
            there = with_device(core, serial_number(numbers.device_seed, draw, HELD_OUT_STREAM))

        def of_batch(inputs: tuple[jax.Array, Any]) -> dict[str, jax.Array]:
            number, batch = inputs
            key = jax.random.fold_in(jax.random.fold_in(base, draw), number)
            return measured.figures(params, at_start, there, key, batch)

        counts = jnp.arange(jax.tree.leaves(batches)[0].shape[0], dtype=jnp.uint32)
        return jax.lax.map(of_batch, (counts, batches))

    return jax.lax.map(of_draw, jnp.arange(draws, dtype=jnp.uint32))


@partial(jax.jit, static_argnums=0)
def observe(measured: Measured, params: Any, at_start: Any, core: Any, numbers: Numbers, batch: Any) -> dict[str, Any]:
    """Return what the sites show on one batch: `optics.Diagnostics` by site name; arguments as of `evaluate`."""
    key = jax.random.fold_in(jax.random.key(numbers.seed), START_STREAM)
    run = optics.emulate(measured.loss, policy=measured.policy, diagnostics=True)
    return run(core, key, params, batch, measured.reference(at_start, batch))[1]


def serial_number(seed: Any, draw: jax.Array, stream: int = 0) -> jax.Array:
    """Return the serial number of a device, from 1 to 2^24 - 1, of a seed and the number of a draw."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), stream), draw)
    return jax.random.randint(key, (), 1, SERIAL_NUMBERS).astype(jnp.float32)


def rate_at(program: Program, numbers: Numbers, count: Any) -> jax.Array:
    """Return the rate of AdamW in a step: it rises in `warmup` steps, then falls as half a cosine."""
    last = max(program.steps, program.warmup + 1)
    shape = optax.warmup_cosine_decay_schedule(1.0 / (program.warmup + 1), 1.0, program.warmup, last, 0.0)
    with jax.numpy_dtype_promotion("standard"):
        return numbers.rate * (numbers.final_rate + (1 - numbers.final_rate) * shape(count))


def objective(
    program: Program,
    weights: Any,
    knobs: Any,
    params: Any,
    core: Any,
    key: jax.Array,
    numbers: Numbers,
    drives: Any,
    batch: Any,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return (what a step descends: the loss, and the price of trained hardware; the figures of the loss).

    Args:
        program: the structure.
        weights: as `State.weights`.
        knobs: as `State.knobs`.
        params: the starting parameters.
        core: as for `step`.
        key: of the noise.
        numbers: the price and where weights are clipped.
        drives: as for `step`.
        batch: tree of arrays [examples, ...].
    """
    merged = program.trained.merge(params, weights, numbers.clip_sigmas)
    if not program.hardware.knobs:
        figures = program.measured.figures(merged, params, core, key, batch)
        return figures[LOSS], figures
    core = program.hardware.core(core, knobs)
    figures = program.measured.figures(merged, params, core, key, batch)
    log_watts = program.hardware.log_watts(core, drives)
    return figures[LOSS] + numbers.price * log_watts, figures | {WATTS: jnp.exp(log_watts)}


def _mean_over_micro_batches(count: int, run: Callable[..., Any], batch: Any) -> Any:
    """The mean of what `run` returns of each of `count` parts of a batch, one after the other."""
    numbers = jnp.arange(count, dtype=jnp.uint32)
    if count == 1:
        return run(numbers[0], jax.tree.map(lambda part: part[0], batch))
    parts = (numbers, batch)
    zero = jax.eval_shape(lambda parts: run(*jax.tree.map(lambda part: part[0], parts)), parts)
    zero = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), zero)
    total, _ = jax.lax.scan(lambda sums, part: (jax.tree.map(jnp.add, sums, run(*part)), None), zero, parts)
    return jax.tree.map(lambda sums: sums / count, total)


def _optimiser(program: Program, numbers: Numbers) -> optax.GradientTransformation:
    if program.optimiser is not None:
        return program.optimiser
    decayed = {leaf.path: bool(leaf.rows) for leaf in program.trained.leaves}
    return optax.chain(
        optax.clip_by_global_norm(numbers.gradient_norm),
        optax.adamw(partial(rate_at, program, numbers), weight_decay=numbers.weight_decay, mask=decayed),
    )


def _knob_optimiser(program: Program, numbers: Numbers) -> optax.GradientTransformation:
    return optax.adam(lambda count: numbers.knob_rate * rate_at(program, numbers._replace(rate=1.0), count))
