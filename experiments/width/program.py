"""`otc width`: photons per MAC for a fixed loss against the width N of a product.

With shot noise alone a product needs SNR / (N rho^2) photo-electrons per MAC, rho = rms(y) / mean(sum_k |x_k| |w_k|).
If all terms of a sum have one sign, rho is constant and the need falls as 1 / N, as "Optical Transformers" found
(1 / d, Anderson et al., TMLR 2024, arXiv 2302.10360). If they are uncorrelated, rho^2 falls as 1 / N and the need is
constant.
The program measures the need on random matrices, on the layers of a language model, and on its predictions.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from tqdm import tqdm

import models
import optics
from experiments.common import reporting
from experiments.common.options import check_integer
from experiments.common.result_cache import ResultCache
from experiments.common.text_options import Stream, TextOptions
from experiments.evaluation.agreement import agreement
from experiments.width import figure, report
from experiments.width.figure import LAWS, geometric_mean
from experiments.width.probes import (
    FULL,
    PARTS,
    SERIES,
    Capture,
    OneKind,
    initial_electrons,
    kind_of,
    needed,
    photons,
    probed,
    shot_noise_core,
)
from experiments.width.records import JudgedSlope, LayerNeeds, PredictionNeed, RandomNeed, Slope, WidthSummary
from optics.datapath.diagnostics import total

# Each round scales the light as if KL went as 1 / light; it does so nearly, and errors shrink from round to round.
ROUNDS = 3
MOST_DRAWS = 10**4


@dataclasses.dataclass(frozen=True, kw_only=True)
class WidthOptions(TextOptions):
    """Photons per MAC for a fixed loss against the width of a product: does the 1/d of Optical Transformers hold?"""

    windows: int = 4
    """Windows of the text: the loss of the model is measured on all of them, its layers on the first."""
    window_tokens: int = 128
    """Tokens in a window."""
    stream: Stream = "no"
    """The weights of all layers have to be in memory."""
    unscored: int = 8
    """Tokens at the start of a window left out of KL: massive activations arise there and amplify any noise."""
    snr_db: float = 20.0
    """Fixed loss of a product: SNR against its own rms [dB]."""
    kl: float = 0.01
    """Fixed loss of the model: divergence from its exact predictions, one kind of product on light [nats per token]."""
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
    """Widths of the random matrices."""
    draws: int = 4
    """Random matrices of each width."""
    out: Path = Path("runs/width")
    """Folder for summary.json, the figure, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        if self.stream != "no":
            raise ValueError(f"stream = {self.stream!r} must be 'no': the weights of all layers have to be in memory")
        if not 0 <= self.unscored <= self.window_tokens - 2:
            raise ValueError(f"unscored = {self.unscored} must be between 0 and window_tokens - 2")
        if not 0 <= self.snr_db <= 60:
            raise ValueError(f"snr_db = {self.snr_db} must be between 0 and 60 dB")
        if not 0 < self.kl <= 1:
            raise ValueError(f"kl = {self.kl} must be above 0 and at most 1 nat per token")
        if len(set(self.widths)) < 3 or not 2 <= min(self.widths) <= max(self.widths) <= 65536:
            raise ValueError(f"widths = {self.widths} must be three or more different ones, between 2 and 65536")
        if self.draws < 1:
            raise ValueError(f"draws = {self.draws} must be at least 1")
        check_integer("draws", self.draws, 1, MOST_DRAWS)


def main(options: WidthOptions) -> WidthSummary:
    """Measure random matrices, layers and model, print the tables, write summary.json and the figure."""
    options.check()
    measurement = _Measurement(options, *options.load())
    random, layers, predictions = measurement.random(), measurement.layers(), measurement.predictions()
    measurement.close()
    slopes: dict[str, JudgedSlope] = {
        name: {**slope, "verdict": verdict(slope)} for name, slope in _slopes(random, layers, predictions).items()
    }
    summary: WidthSummary = {
        **options.described(),
        "unscored": options.unscored,
        "snr_db": options.snr_db,
        "kl": options.kl,
        "random": random,
        "layers": layers,
        "predictions": predictions,
        "slopes": slopes,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary


def fit(widths: np.ndarray, needs: np.ndarray) -> Slope:
    """Fit d ln(photons per MAC) / d ln N by least squares over three points or more, with its standard error."""
    x, y = (np.log(values) - np.mean(np.log(values)) for values in (widths, needs))
    slope = x @ y / (x @ x)
    rest = y - slope * x
    return {"slope": float(slope), "stderr": float(np.sqrt(rest @ rest / (len(x) - 2) / (x @ x))), "points": len(x)}


def verdict(fitted: Slope) -> str:
    """Name the law within the 95 % interval of a slope (Student's t), or the side of both laws that it is on."""
    slope, reach = fitted["slope"], fitted["stderr"] * float(stats.t.ppf(0.975, fitted["points"] - 2))
    holding = [name for name, law in LAWS.items() if abs(slope - law) <= reach]
    if holding:
        return f"{holding[0]} holds" if len(holding) == 1 else f"cannot tell {' from '.join(LAWS)}"
    if slope > 0:
        return "neither holds: it rises"
    if slope < -1:
        return "neither holds: it falls faster than 1/N"
    return f"between the two, nearer {'flat' if slope > -0.5 else '1/N'}"


class _Measurement:
    """The model, its windows, the compiled functions, and the stored results."""

    def __init__(self, options: WidthOptions, checkpoint: models.Checkpoint, windows: np.ndarray):
        self.options, self.params, self.windows = options, checkpoint.params, jnp.asarray(windows[:, None])
        sites = optics.trace(checkpoint.forward, policy=_in_layers)(self.params, self.windows[0])
        self.kinds = {kind_of(site.name): site.rows for site in sites if site.optical}
        if len(set(self.kinds.values())) < 2:
            raise ValueError(f"model = {options.model_name} has products of one width alone: a slope takes two")
        largest = max(max(site.rows, site.columns) for site in sites if site.optical)
        self.core = shot_noise_core(largest, largest, initial_electrons(options.snr_db))
        self.key, self.references = jax.random.key(options.seed), {}

        def divergence(params: Any, tokens: jax.Array, reference: jax.Array) -> jax.Array:
            scored = [each[:, options.unscored :] for each in (checkpoint.forward(params, tokens), reference, tokens)]
            return agreement(*scored).kl

        self.forward = jax.jit(checkpoint.forward)
        captured = optics.emulate(checkpoint.forward, policy=_in_layers, diagnostics=True)
        self.captured = jax.jit(lambda params, tokens: captured(Capture(), self.key, params, tokens)[1])
        self.diverged = jax.jit(optics.emulate(divergence, policy=_in_layers, diagnostics=True))

        self.cache = ResultCache(options.out / "results.sqlite", __name__)
        text = hashlib.sha256(windows.tobytes()).hexdigest()
        self.described = [checkpoint.sha256, text, options.seed, options.unscored, options.snr_db, options.kl]
        runs = len(SERIES) * len(options.widths) * options.draws + len(self.kinds) * (1 + len(windows))
        self.bar = tqdm(total=runs, unit="run", desc="measuring", smoothing=0.05)

    def close(self) -> None:
        """Close the progress bar and the cache."""
        self.bar.close()
        self.cache.close()

    def kept(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        """Return compute(*arguments), from the cache where it was computed before."""

        def run() -> Any:
            self.bar.set_postfix_str(" ".join(map(str, arguments[:2])))
            return compute(*arguments)

        result = self.cache.get_or_compute([compute.__name__, arguments, self.described], run)
        self.bar.update()
        return result

    def random(self) -> list[RandomNeed]:
        """Return the needs of random matrices, for each series and width."""
        seeds, most = range(self.options.seed, self.options.seed + self.options.draws), max(self.options.widths)
        return [
            {
                "series": series,
                "width": rows,
                "detected": [self.kept(needed, series, rows, most, self.options.snr_db, seed) for seed in seeds],
            }
            for series in SERIES
            for rows in self.options.widths
        ]

    def layers(self) -> dict[str, LayerNeeds]:
        """Return the needs of the layers at the fixed SNR, by kind of product."""
        return {kind: self.kept(self.of_layers, kind) for kind in self.kinds}

    def of_layers(self, kind: str) -> LayerNeeds:
        """Return the needs of the layers of one kind, on the activations of the first window."""
        core, widths = self.core.prepare(), [self.kinds[kind] // part for part in PARTS]
        inputs, weights = self.activations[kind], self.params["layers"][kind]
        keys = jax.random.split(jax.random.fold_in(self.key, list(self.kinds).index(kind)), len(inputs))
        probes = [probed(core, x, w, key) for x, w, key in zip(inputs, weights, keys, strict=True)]
        rows = np.array([widths], np.float32)
        needs = np.array([photons(each, rows, self.options.snr_db) for each in probes])
        ratios = np.array([float(each.launched[0, FULL] / each.detected[0, FULL]) for each in probes])
        launched = ratios * needs[:, 0, FULL]
        return {
            "widths": widths,
            "detected": needs[:, 0].tolist(),
            "signs_shuffled": needs[:, 1].tolist(),
            "launched": launched.tolist(),
        }

    @functools.cached_property
    def activations(self) -> dict[str, jax.Array]:
        """Inputs of the products of each kind in the first window [layer, token, input]."""
        return {kind_of(name): x for name, x in self.captured(self.params, self.windows[0]).items()}

    def predictions(self) -> dict[str, PredictionNeed]:
        """Return the need of each kind at the fixed KL: geometric means over windows."""
        needs: dict[str, list[list[float]]] = {kind: [] for kind in self.kinds}
        for number in range(len(self.windows)):
            for kind, of_windows in needs.items():
                of_windows.append(self.kept(self.at_divergence, kind, number))
        predictions: dict[str, PredictionNeed] = {}
        for kind, results in needs.items():
            logs = np.log([detected for detected, _ in results])
            detected, launched = geometric_mean(results).tolist()
            predictions[kind] = {
                "width": self.kinds[kind],
                "detected": detected,
                "launched": launched,
                "relative_stderr": float(np.std(logs, ddof=1) / len(logs) ** 0.5) if len(logs) > 1 else None,
            }
        return predictions

    def at_divergence(self, kind: str, number: int) -> list[float]:
        """Return photons per MAC, detected and launched, at the fixed KL of a window, one kind of product on light."""
        if number not in self.references:
            self.references = {number: self.forward(self.params, self.windows[number])}
        inputs = self.params, self.windows[number], self.references[number]
        core, on = self.core, {each: jnp.asarray(each == kind) for each in self.kinds}
        for _ in range(ROUNDS):
            kl, by_site = self.diverged(OneKind(core, on), jax.random.fold_in(self.key, number), *inputs)
            excess = float(kl) / self.options.kl
            core = core.replace({"source.power": core.source.power * excess})
        readings = total(list(by_site.values()))
        return [float(each) * excess for each in (readings.detected_per_mac(), readings.launched_per_mac())]


def _in_layers(site: optics.Site) -> bool:
    return site.stationary and site.path.startswith("layers.")


def _slopes(
    random: Sequence[RandomNeed], layers: Mapping[str, LayerNeeds], predictions: Mapping[str, PredictionNeed]
) -> dict[str, Slope]:
    slopes: dict[str, Slope] = {}
    for series in SERIES:
        points = [(row["width"], need) for row in random if row["series"] == series for need in row["detected"]]
        slopes[f"random matrices, {series}"] = fit(*np.transpose(points))
    full = {kind: (of["widths"][-1], np.array(of["detected"])[:, -1]) for kind, of in layers.items()}
    slopes["between layers"] = fit(*np.transpose([(width, need) for width, needs in full.values() for need in needs]))
    slopes["between kinds"] = fit(*np.transpose([(width, float(geometric_mean(n))) for width, n in full.values()]))
    within = {
        kind: (_within(of["widths"], of["detected"]), _within(of["widths"], of["signs_shuffled"]))
        for kind, of in layers.items()
    }
    as_is, shuffled = (np.concatenate([pair[place] for pair in within.values()]) for place in (0, 1))
    slopes["within layers"] = _mean_within(as_is, shuffled)
    for kind, pair in within.items():
        slopes[f"within layers, {kind}"] = _mean_within(*pair)
    points = [(of["width"], of["detected"]) for of in predictions.values()]
    slopes["predictions, between kinds"] = fit(*np.transpose(points))
    return slopes


def _within(widths: Sequence[int], needs: Sequence[Sequence[float]]) -> np.ndarray:
    """Slope of each layer, over the parts of its inputs."""
    return np.array([fit(np.array(widths), np.array(of_layer))["slope"] for of_layer in needs])


def _mean_within(slopes: np.ndarray, shuffled: np.ndarray) -> Slope:
    """Mean slope over layers, as they are and with signs shuffled."""
    return {
        "slope": float(np.mean(slopes)),
        "stderr": _stderr(slopes),
        "points": len(slopes),
        "shuffled_slope": float(np.mean(shuffled)),
        "shuffled_stderr": _stderr(shuffled),
    }


def _stderr(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / len(values) ** 0.5)
