"""What is known before the first step: what the function multiplies, how noisy it is, and what is refused."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import optics
from electronics import Part
from experiments.sweeps.subjects.function_digest import array_digest, jaxpr_digest
from experiments.sweeps.subjects.subject import digest
from experiments.training.method import step as stepping
from experiments.training.method.codesign import Hardware, hardware, with_device
from experiments.training.method.losses import LOSS, figures_of
from experiments.training.method.step import Measured, Numbers, Program
from experiments.training.method.trainable import select
from experiments.training.run.options import Options
from optics.datapath.diagnostics import Diagnostics
from optics.energy.light_budget import mean_drive
from optics.interpreter.protocols import ObservableCore


class NoisySiteWarning(UserWarning):
    """The noise of a site is larger than its signal where training starts."""


class Observed(NamedTuple):
    """What the starting point shows on one micro-batch.

    Attributes:
        snr: by site name [dB], over all steps of a scan.
        drives: mean drive by site name.
        diagnostics: by site name.
    """

    snr: dict[str, float]
    drives: dict[str, float]
    diagnostics: Mapping[str, Diagnostics]


def plan(
    loss: Callable[..., Any],
    forward: Callable[..., Any] | None,
    params: Any,
    batch: Any,
    core: Any,
    options: Options,
    policy: optics.Policy = optics.stationary,
) -> Program:
    """Return the structure of a run's steps; nothing is compiled.

    Args:
        loss: function of (params, batch, reference).
        forward: function of (params, batch), or None.
        params: tree of parameters.
        batch: one micro-batch.
        core: what the products run on, or None.
        options: of the run.
        policy: which products run on the core.

    Raises:
        ValueError: for a loss that is no number, a selection without parameters, knobs that are none, and products that
            all stay digital.
    """
    options.check()
    shapes = jax.tree.map(_shape, (params, batch))
    reference = None if forward is None else jax.eval_shape(forward, *shapes)
    figures = jax.eval_shape(loss, *shapes, reference)
    if not isinstance(figures, Mapping | jax.ShapeDtypeStruct):
        raise ValueError(f"the loss returns a {type(figures).__name__}: it must be a number, or figures by name")
    if LOSS not in (found := jax.eval_shape(figures_of, figures)) or len(found) > 64:
        raise ValueError(f"the loss returns {len(found)} figures; at most 64 are recorded")
    _check_redrawn(core, options)
    with warnings.catch_warnings():
        # The run itself warns of products that stay digital.
        warnings.simplefilter("ignore", optics.DigitalProductWarning)
        sites = optics.trace(loss, policy=policy)(*shapes, reference)
    if core is not None and not any(site.optical for site in sites):
        raise ValueError("the loss multiplies no array of the parameters on a core: optics.report says why of each")
    trained = select(options.trainable, params, sites, options.clip_sigmas is not None)
    redrawn = options.device == "redrawn" and core is not None
    return Program(
        measured=Measured(loss=loss, forward=forward, redrawn=redrawn, policy=policy),
        trained=trained,
        hardware=hardware(options.knobs, core, sites) if options.knobs else Hardware(),
        optimiser=options.optimiser,
        steps=options.steps,
        warmup=options.steps // 10 if options.warmup is None else options.warmup,
        accumulate=options.accumulate,
    )


def numbers_of(options: Options) -> Numbers:
    """Return the numbers of a run's steps."""
    seed = options.seed if options.device_seed is None else options.device_seed
    return Numbers(
        rate=np.float32(options.rate),
        final_rate=np.float32(options.final_rate),
        weight_decay=np.float32(options.weight_decay),
        gradient_norm=np.float32(math.inf if options.gradient_norm is None else options.gradient_norm),
        clip_sigmas=np.float32(math.inf if options.clip_sigmas is None else options.clip_sigmas),
        knob_rate=np.float32(options.knob_rate),
        price=np.float32(options.price),
        seed=np.uint32(options.seed),
        device_seed=np.uint32(seed),
    )


def observe(
    measured: Measured, params: Any, at_start: Any, core: Any, numbers: Numbers, batch: Any, least_snr: float
) -> Observed:
    """Return what parameters show, nothing on a core that cannot observe.

    Args:
        measured: what runs on the core.
        params: the parameters.
        at_start: those of the reference.
        core: what the products run on.
        numbers: for their seed.
        batch: one micro-batch.
        least_snr: which no site may be below in all [dB].

    Raises:
        ValueError: if every site is below.

    Warns:
        NoisySiteWarning: if some are.
    """
    if core is None or not isinstance(core, ObservableCore):
        return Observed({}, {}, {})
    seen = jax.tree.map(np.asarray, stepping.observe(measured, params, at_start, core, numbers, batch))
    snr = ratios(seen)
    noisy = {name: ratio for name, ratio in snr.items() if ratio < least_snr}
    if noisy:
        worst = min(noisy, key=lambda name: noisy[name])
        stated = (
            f"{noisy[worst]:.1f} dB at site {worst!r}, and below {least_snr:g} dB at {len(noisy)} of {len(snr)} sites"
        )
        if len(noisy) == len(snr):
            raise ValueError(
                f"the noise of the core is above the signal where training starts: an SNR of {stated}; give the core "
                "more light, or lower least_snr"
            )
        warnings.warn(f"an SNR of {stated}, where training starts", NoisySiteWarning, stacklevel=3)
    return Observed(snr, {name: float(mean_drive(each)) for name, each in seen.items()}, seen)


def ratios(diagnostics: Mapping[str, Diagnostics]) -> dict[str, float]:
    """Return the SNR by site name [dB], over all steps of a scan."""
    return {name: _decibel(_sum(each.signal), _sum(each.error)) for name, each in diagnostics.items()}


def describe(
    program: Program, options: Options, params: Any, data: Any, held_out: Any, core: Any, batch: Any
) -> dict[str, Any]:
    """Return what a run computes, as its manifest states it.

    A function that makes the data, and an optimiser of the caller's, are not looked into.
    """
    shapes = jax.tree.map(_shape, (params, batch))
    reference = None if program.measured.forward is None else jax.eval_shape(program.measured.forward, *shapes)
    return {
        "options": options.describe(),
        "loss": jaxpr_digest(program.measured.loss, *shapes, reference)[:16],
        "forward": "" if program.measured.forward is None else jaxpr_digest(program.measured.forward, *shapes)[:16],
        "trained": digest(*(leaf.path for leaf in program.trained.leaves))[:16],
        "params": array_digest(params)[:16],
        "data": "a function" if callable(data) else array_digest(data)[:16],
        "held_out": "none" if held_out is None else array_digest(held_out)[:16],
        "core": "exact arithmetic" if core is None else _describe_core(core),
    }


def _check_redrawn(core: Any, options: Options) -> None:
    if options.device == "redrawn" and core is not None:
        with_device(core, np.float32(1))


def _describe_core(core: Any) -> Any:
    structure = digest(str(jax.tree.structure(core)))[:16]
    if isinstance(core, Part | optics.CoresBySite):
        # Number by number, so that a difference can be stated.
        return {"structure": structure} | {name: np.asarray(value).tolist() for name, value in core.numbers().items()}
    leaves = {str(number): np.asarray(leaf) for number, leaf in enumerate(jax.tree.leaves(core))}
    return {"structure": structure, "numbers": array_digest(leaves)[:16]}


def _sum(values: Any) -> float:
    return float(np.sum(np.asarray(values, np.float64)))


def _decibel(signal: float, error: float) -> float:
    if not error:
        return math.inf
    return 10 * math.log10(signal / error) if signal else -math.inf


def _shape(array: Any) -> Any:
    return (
        jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype))
        if hasattr(array, "dtype")
        else array
    )
