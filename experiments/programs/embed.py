"""`otc embed`: sentence embeddings of all-MiniLM-L6-v2 on light, against the digital ones.

A logistic probe tells satirical headlines from serious ones. It is trained on digital embeddings, and scored on those
that a core computes of other headlines.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize
from tqdm import tqdm

import models
import optics
from experiments.common import reporting
from experiments.common.candidates import load_core
from experiments.common.options import check_folder, check_integer, check_seed

DIGITAL = "fp32"
HEADLINES = 28_614
PENALTY = 1.0
"""Of the squared weights of the probe, against the sum of its losses."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """Sentence embeddings on light: cosine agreement, nearest neighbours, and the accuracy of a probe."""

    presets: tuple[str, ...] = ("today", "projected_2029", "physical_limit")
    """Optical presets or devices."""
    core: Path | None = None
    """A core of your own as one more row, .toml or .json."""
    train: int = 6000
    """Headlines that the probe is trained on."""
    test: int = 1000
    """Other headlines that it is scored on; a core computes these alone."""
    longest: int = 32
    """Tokens of a headline, ends included."""
    batch: int = 100
    """Headlines at once."""
    seed: int = 0
    """Seed of the noise."""
    out: Path = Path("runs/embed")
    """Folder for summary.json."""

    def check(self) -> None:
        """Raise ValueError for an option out of range, with its name and the range."""
        for name, least in (("train", 2), ("test", 2), ("batch", 1)):
            check_integer(name, getattr(self, name), least)
        check_integer("longest", self.longest, 2, 512)
        if self.train + self.test > HEADLINES:
            raise ValueError(f"train + test = {self.train + self.test} must be at most {HEADLINES} headlines")
        check_seed("seed", self.seed)
        check_folder("out", self.out)


class EmbedRow(TypedDict):
    """What a machine makes of the headlines that are tested.

    Attributes:
        machine: its name.
        cosine: mean of the cosine to the digital embedding.
        cosine_low: its fifth percentile over headlines.
        neighbour: share of headlines whose nearest other one is that of the digital embeddings.
        accuracy: of the probe.
        delta: accuracy less that of digital embeddings, and its standard error over headlines.
    """

    machine: str
    cosine: float
    cosine_low: float
    neighbour: float
    accuracy: float
    delta: float
    delta_stderr: float


class EmbedSummary(TypedDict):
    """The content of summary.json."""

    model: str
    train: int
    test: int
    longest: int
    seed: int
    rows: list[EmbedRow]
    versions: dict[str, str]


def main(options: EmbedOptions) -> EmbedSummary:
    """Embed the headlines on each core, print the table and write summary.json."""
    options.check()
    cores = {name: load_core(name, None) for name in dict.fromkeys(options.presets)}
    if options.core is not None:
        name = options.core.stem
        if name in (DIGITAL, *cores):
            raise ValueError(f"core = {options.core}: there is a row {name!r} already; rename the file")
        cores[name] = load_core("", options.core)
    texts, satirical = models.load_headlines(options.train + options.test)
    encoder = models.load(models.fetch_encoder(), family=models.BERT)
    tokens, lengths = models.token_batch(encoder.tokenizer, texts, options.longest)
    embedder = _Embedder(encoder, options)
    digital = embedder.digital(tokens, lengths)
    probe = _trained(digital[: options.train], satirical[: options.train])
    held = slice(options.train, None)
    rows = [_row(DIGITAL, digital[held], digital[held], probe, satirical[held])]
    for name, core in cores.items():
        found = embedder.on_core(name, core, tokens[held], lengths[held])
        rows.append(_row(name, found, digital[held], probe, satirical[held]))
    summary: EmbedSummary = {
        "model": "all-MiniLM-L6-v2",
        "train": options.train,
        "test": options.test,
        "longest": options.longest,
        "seed": options.seed,
        "rows": rows,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _print_report(summary, options.out)
    return summary


class _Embedder:
    """The compiled functions, which all cores of one structure share."""

    def __init__(self, encoder: models.Checkpoint, options: EmbedOptions):
        config = encoder.config

        def embed(params: Any, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
            return models.sentence_embeddings(config, params, tokens, lengths=lengths)

        self._params, self._batch, self._key = encoder.params, options.batch, jax.random.key(options.seed)
        self._plain, self._load = jax.jit(embed), jax.jit(optics.load(embed))
        self._emulated = jax.jit(optics.emulate(embed))

    def digital(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return self._over_batches(DIGITAL, tokens, lengths, lambda number, *batch: self._plain(self._params, *batch))

    def on_core(self, name: str, core: optics.TensorCore, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        shapes = jnp.zeros((self._batch, tokens.shape[1]), jnp.int32), jnp.zeros(self._batch, jnp.int32)
        loaded = self._load(core, self._params, *shapes)

        def run(number: int, *batch: jax.Array) -> jax.Array:
            return self._emulated(loaded, jax.random.fold_in(self._key, number), self._params, *batch)

        return self._over_batches(name, tokens, lengths, run)

    def _over_batches(
        self, name: str, tokens: np.ndarray, lengths: np.ndarray, run: Callable[..., jax.Array]
    ) -> np.ndarray:
        found = []
        for number, first in enumerate(tqdm(range(0, len(tokens), self._batch), name, unit="batch", leave=False)):
            batch = slice(first, first + self._batch)
            # The last batch is filled up with texts of one token, so that one program serves all.
            short = self._batch - len(lengths[batch])
            filled = np.pad(tokens[batch], ((0, short), (0, 0))), np.pad(lengths[batch], (0, short), constant_values=1)
            found.append(np.asarray(run(number, *map(jnp.asarray, filled)))[: self._batch - short])
        return np.concatenate(found)


def _trained(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights and bias [hidden + 1] of the logistic regression with a penalty, by L-BFGS from zero."""
    signs = np.where(labels, 1.0, -1.0)
    rows = np.concatenate([embeddings.astype(np.float64), np.ones((len(embeddings), 1))], axis=1)
    penalised = np.append(np.ones(embeddings.shape[1]), 0.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (rows @ weights)
        slope = -signs / (1 + np.exp(margins))
        value = np.sum(np.logaddexp(0, -margins)) + PENALTY / 2 * np.sum(penalised * weights**2)
        return float(value), rows.T @ slope + PENALTY * penalised * weights

    return minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x


def _row(name: str, found: np.ndarray, digital: np.ndarray, probe: np.ndarray, labels: np.ndarray) -> EmbedRow:
    cosines = np.sum(found * digital, axis=1)
    right, exact = (_right(each, probe, labels) for each in (found, digital))
    difference = right.astype(float) - exact
    return {
        "machine": name,
        "cosine": float(np.mean(cosines)),
        "cosine_low": float(np.quantile(cosines, 0.05)),
        "neighbour": float(np.mean(_nearest(found) == _nearest(digital))),
        "accuracy": float(np.mean(right)),
        "delta": float(np.mean(difference)),
        "delta_stderr": float(np.std(difference, ddof=1) / len(difference) ** 0.5),
    }


def _right(embeddings: np.ndarray, probe: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (embeddings @ probe[:-1] + probe[-1] > 0) == labels


def _nearest(embeddings: np.ndarray) -> np.ndarray:
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argmax(cosines, axis=1)


def _print_report(summary: EmbedSummary, out: Path) -> None:
    header = ("", "cosine", "5 % below", "same neighbour", "probe", "less than fp32")
    print(f"\n{summary['model']}, {summary['test']} headlines; probe of {summary['train']} others")
    print(reporting.table([header, *map(_cells, summary["rows"])]))
    print(
        "cosine: to the digital embedding; neighbour: the nearest other headline; probe: accuracy of a logistic probe\n"
        "that is trained on digital embeddings, its difference ± standard error over headlines."
    )
    print(f"Written: {out}/summary.json")


def _cells(row: EmbedRow) -> tuple[str, ...]:
    return (
        row["machine"],
        f"{row['cosine']:.4f}",
        f"{row['cosine_low']:.4f}",
        f"{row['neighbour']:.1%}",
        f"{row['accuracy']:.1%}",
        f"{row['delta']:+.1%} ± {row['delta_stderr']:.1%}",
    )
