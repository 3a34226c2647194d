"""`otc prefill`: time and memory of one forward pass of a checkpoint, digital and emulated, on random tokens."""

import dataclasses
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import jax
import jax.numpy as jnp
import tyro

import models
import optics
from experiments.common import reporting
from experiments.common.options import check_folder, check_integer, check_seed
from experiments.common.text_options import Stream, check_context, load_model
from experiments.evaluation.agreement import agreement

READ, DIGITAL = "read", "digital"
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class PrefillOptions:
    """One forward pass of a checkpoint: reading it alone, digital in float32, and on optical presets."""

    model: Annotated[Path, tyro.conf.Positional]
    """A Hugging Face folder or a GGUF file of a supported family."""
    _: dataclasses.KW_ONLY
    on: tuple[str, ...] = (DIGITAL, "ideal", "projected_2029")
    """What to time, in this order: read, digital, ideal, a preset or a device. Peaks of memory are those so far, so
    give one at a time to compare them."""
    tokens: int = 128
    """Tokens of the prompt, drawn at random."""
    seed: int = 0
    """Seed of tokens and noise."""
    stream: Stream = "auto"
    """Whether layers are read from the model's files as they are multiplied; auto: where memory asks for it."""
    out: Path = Path("runs/prefill")
    """Folder for summary.json."""

    def check(self) -> None:
        """Raise ValueError for a value out of range, with its name and the range."""
        if not self.on:
            raise ValueError("on is empty; give read, digital, or the name of a preset")
        for name in self.on:
            if name not in (READ, DIGITAL):
                optics.preset(name)
        check_integer("tokens", self.tokens, 2)
        check_seed("seed", self.seed)
        check_folder("out", self.out)
        check_context(self.model, "tokens", self.tokens)


class PrefillRow(TypedDict):
    """One pass: seconds to compile and to run, peak of resident memory of the process so far, and, where the digital
    pass was run before, the largest difference from its logits as a share of the largest, and the divergence from it
    [nats per token]."""

    on: str
    compile_s: float
    seconds: float
    peak_bytes: int
    worst_difference: float | None
    kl: float | None


class PrefillSummary(TypedDict):
    """The content of summary.json."""

    model: str
    parameters_float32_bytes: int
    streamed: bool
    tokens: int
    seed: int
    rows: list[PrefillRow]
    versions: dict[str, str]


def main(options: PrefillOptions) -> PrefillSummary:
    """Run the passes, print the table and write summary.json."""
    options.check()
    checkpoint = load_model(options.model, options.stream)
    if READ in options.on and not checkpoint.streamed:
        raise ValueError("on = 'read': the model is in memory, where nothing is read; give stream = yes")
    key = jax.random.key(options.seed)
    tokens = jax.random.randint(key, (1, options.tokens), 0, checkpoint.config.vocabulary)
    reference: jax.Array | None = None
    rows: list[PrefillRow] = []
    for name in options.on:
        if name == READ:
            rows.append(_row(name, 0.0, _timed(_read_all, checkpoint)[1]))
            continue
        forward = checkpoint.forward if name == DIGITAL else _emulated(checkpoint, optics.preset(name), key)
        compiled, compile_s = _timed(_compiled, forward, checkpoint.params, tokens)
        logits, seconds = _timed(compiled, checkpoint.params, tokens)
        row = _row(name, compile_s, seconds)
        if name == DIGITAL:
            reference = logits
        elif reference is not None:
            largest = jnp.max(jnp.abs(reference))
            row["worst_difference"] = float(jnp.max(jnp.abs(logits - reference)) / largest)
            row["kl"] = float(agreement(logits, reference, tokens).kl)
        rows.append(row)
        del logits
    summary: PrefillSummary = {
        "model": str(options.model),
        "parameters_float32_bytes": models.float32_bytes(options.model),
        "streamed": checkpoint.streamed,
        "tokens": options.tokens,
        "seed": options.seed,
        "rows": rows,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _print_report(summary, options.out)
    return summary


def _emulated(checkpoint: models.Checkpoint, core: optics.TensorCore, key: jax.Array) -> Callable[..., jax.Array]:
    run = optics.emulate(checkpoint.forward)
    return lambda params, tokens: run(core, key, params, tokens)


def _compiled(forward: Callable[..., jax.Array], *inputs: Any) -> Any:
    return jax.jit(forward).lower(*inputs).compile()


def _timed(run: Callable[..., Any], *inputs: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    found = jax.block_until_ready(run(*inputs))
    return found, time.perf_counter() - start


def _read_all(checkpoint: models.Checkpoint) -> None:
    """Read what a forward pass of a streamed model reads, and do nothing with it."""
    for stack in checkpoint.config.parts:
        layers = checkpoint.params[stack]
        for number in range(len(layers.number)):
            layers.source.read(number)
    checkpoint.params["embedding" if checkpoint.config.tied_head else "head"].source.read()


def _row(name: str, compile_s: float, seconds: float) -> PrefillRow:
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "on": name,
        "compile_s": compile_s,
        "seconds": seconds,
        "peak_bytes": peak,
        "worst_difference": None,
        "kl": None,
    }


def _print_report(summary: PrefillSummary, out: Path) -> None:
    where = "streamed" if summary["streamed"] else "in memory"
    size = summary["parameters_float32_bytes"] / 4e9
    print(f"\n{summary['model']}, {size:.2f} billion parameters, {where}, {summary['tokens']} tokens")
    header = ("", "compile [s]", "run [s]", "peak memory so far [GiB]", "largest difference", "KL [nats/token]")
    print(reporting.table([header, *map(_cells, summary["rows"])]))
    print(f"Differences are from the digital logits, as a share of the largest.\nWritten: {out}/summary.json")


def _cells(row: PrefillRow) -> tuple[str, ...]:
    differences = ("" if value is None else f"{value:.3g}" for value in (row["worst_difference"], row["kl"]))
    times = f"{row['compile_s']:.1f}", f"{row['seconds']:.1f}"
    return (row["on"], *times, f"{row['peak_bytes'] / GIB:.2f}", *differences)
