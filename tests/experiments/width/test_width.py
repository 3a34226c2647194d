"""Photons against width: the random control against its closed form in float64, both laws where they must hold, and
the program on a tiny model.

A need is known as well as the noise power is: over n independent outputs to sqrt(2 / n). Keys are fixed; were they not,
a right program would fail a closed form (five standard errors) with probability below 1e-6, and each slope (four
standard errors, 22 degrees of freedom) with 6e-4.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import models
import optics
from experiments.evaluation.agreement import agreement
from experiments.width import probes
from experiments.width import program as width

WIDEST, DRAWS, SNR_DB = 1024, 8, 17.0
OUTPUTS = probes.VECTORS * probes.COLUMNS


def closed_form(x, w, snr_db: float) -> tuple[float, float]:
    """(photo-electrons per MAC, SNR / (N rho^2)) in float64: full drive stands for each vector's and column's largest.

    The noise of an output is its light, sum |x||w| / (a b), in units of a b, a and b the largest of vector and column.
    """
    x, w = x.astype(np.float64), w.astype(np.float64)
    scale = np.abs(x).max(axis=1, keepdims=True) * np.abs(w).max(axis=0, keepdims=True)
    light, signal = np.abs(x) @ np.abs(w), np.mean((x @ w) ** 2)
    snr, rows = 10 ** (snr_db / 10), x.shape[1]
    exact = snr * np.mean(light * scale) * np.mean(light / scale) / (rows * signal)
    return exact, snr * np.mean(light) ** 2 / (rows * signal)


@pytest.fixture(scope="module")
def found():
    """(width, need, closed form, SNR / (N rho^2)) of random matrices, by series."""
    return {
        series: [
            (
                rows,
                probes.needed(series, rows, WIDEST, SNR_DB, seed),
                *closed_form(x[:, :rows], w[:rows], SNR_DB),
            )
            for rows in (64, 256, WIDEST)
            for seed in range(DRAWS)
            for x, w in [probes.operands(series, rows, WIDEST, seed)]
        ]
        for series in probes.SERIES
    }


@pytest.mark.parametrize("series", probes.SERIES)
def test_random_matrices_need_what_the_closed_form_says(found, series):
    _, needs, exact, by_rho = np.transpose(found[series])
    for start in range(0, len(needs), DRAWS):
        mean = np.mean(needs[start : start + DRAWS] / exact[start : start + DRAWS])
        assert mean == pytest.approx(1, abs=5 * np.sqrt(2 / (DRAWS * OUTPUTS)))
    # Uniform operands are all as bright: what differs between their full scales is nothing.
    np.testing.assert_allclose(exact, by_rho, rtol=5e-3)


@pytest.mark.parametrize(("series", "law"), [("random signs", 0.0), ("one sign", -1.0)])
def test_slope_is_that_of_the_law(found, series, law):
    widths, needs, *_ = np.transpose(found[series])
    slope = width.fit(widths, needs)
    assert slope["points"] == 3 * DRAWS
    assert 0 < slope["stderr"] < 0.02
    assert abs(slope["slope"] - law) < 4 * slope["stderr"]
    assert width.verdict(slope) == ("flat holds" if law == 0 else "1/N holds")


def test_fit_is_least_squares():
    noise = np.random.default_rng(0)
    widths = np.array([64, 64, 128, 256, 1024])
    needs = widths**-0.4 * np.exp(noise.normal(size=5))
    expected = stats.linregress(np.log(widths), np.log(needs))
    slope = width.fit(widths, needs)
    assert slope["slope"] == pytest.approx(expected.slope)
    assert slope["stderr"] == pytest.approx(expected.stderr)


@pytest.mark.parametrize(
    ("slope", "stderr", "points", "expected"),
    [
        (0.01, 0.01, 40, "flat holds"),
        (-0.99, 0.01, 40, "1/N holds"),
        (-0.2, 0.05, 40, "between the two, nearer flat"),
        (-0.7, 0.05, 40, "between the two, nearer 1/N"),
        (0.3, 0.1, 40, "neither holds: it rises"),
        (-1.3, 0.1, 40, "neither holds: it falls faster than 1/N"),
        (0.0, 0.6, 40, "cannot tell flat from 1/N"),
        # Of three points one is left over: its interval is 12.7 standard errors wide.
        (-0.9, 0.1, 3, "cannot tell flat from 1/N"),
    ],
)
def test_verdict(slope, stderr, points, expected):
    assert width.verdict({"slope": slope, "stderr": stderr, "points": points}) == expected


def shot_noise(rows: int, columns: int) -> optics.TensorCore:
    core = optics.physical_limit(rows=rows, columns=columns).replace({"effects": optics.Effects.only("shot")})
    return core.replace({"source.power": core.source.power * 1000 / core.electrons})


def test_dark_inputs_and_the_count_of_columns_change_no_need():
    """64 inputs and 16 columns, the latter four times over, on a core of 1024 x 64 read as on one of 64 x 16."""
    x, w = probes.operands("random signs", 64, WIDEST, seed=3)
    w = np.tile(w[:, :16], 4)
    large = shot_noise(WIDEST, 64).observe(x, w, key=jax.random.key(1))[1]
    small = shot_noise(64, 16).observe(x[:, :64], w[:64, :16], key=jax.random.key(1))[1]
    detected, launched = float(small.detected_per_mac()), float(small.launched_per_mac())
    assert float(large.detected_per_mac()) * WIDEST / 64 == pytest.approx(detected, rel=1e-5)
    assert float(large.launched_per_mac()) * WIDEST / 64 == pytest.approx(launched, rel=1e-5)
    excess = 10 ** ((float(large.snr_db()) - 10) / 10)
    assert float(probes.photons(large, 64, 10.0)) == pytest.approx(detected / excess, rel=1e-5)


def test_probe_tells_terms_that_agree_from_the_same_with_shuffled_signs():
    """Of numbers of one sign n need SNR / n a MAC; shuffled, what uncorrelated terms of their size do.

    The vectors differ in size by 10^4, and count alike. What the draw of x and w itself varies is within 5 %.
    """
    x, w = probes.operands("one sign", WIDEST, WIDEST, seed=1)
    x *= np.geomspace(1, 1e4, len(x), dtype=np.float32)[:, None]
    seen = probes.probed(shot_noise(WIDEST, 64).prepare(), x, w, jax.random.key(2))
    lit = np.float32([WIDEST // part for part in probes.PARTS])
    agreeing, shuffled = np.asarray(probes.photons(seen, lit[None], SNR_DB))
    snr, within = 10 ** (SNR_DB / 10), 5 * np.sqrt(2 / OUTPUTS) + 0.05
    # Between 0 and 1, sums of n terms have E L = n / 4 and E L^2 = n^2 / 16 + 7 n / 144.
    np.testing.assert_allclose(agreeing, snr / lit / (1 + 7 / 9 / lit), rtol=within)
    # Uncorrelated: light (n / 4)^2 over signal n / 9, of which the mean over 64 columns is known as a chi-square is.
    np.testing.assert_allclose(shuffled, snr * 9 / 16 * 64 / 62, rtol=within)


@pytest.fixture
def given(given):
    return given | {"unscored": 2, "widths": (64, 256, WIDEST), "draws": 1}


def test_tiny_model_is_measured_drawn_and_stored(given, drawn, capsys, monkeypatch):
    # Source that is edited while the test runs is not what this is about.
    monkeypatch.setattr("experiments.common.result_cache.source_digest", lambda *modules: "fixed")
    options = width.WidthOptions(**given)
    summary = width.main(options)
    assert summary == json.loads((given["out"] / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["layers"]) == set(summary["predictions"]) == {"q", "k", "v", "o", "gate", "up", "down"}
    for kind, of in summary["layers"].items():
        assert of["widths"] == ([3, 6, 12, 24, 48] if kind == "down" else [2, 4, 8, 16, 32])
        assert np.shape(of["detected"]) == np.shape(of["signs_shuffled"]) == (2, 5)
        # A lossless core wastes what falls on the dark part of its pixels, at least one of two.
        assert np.all(np.array(of["launched"]) > 2 * np.array(of["detected"])[:, -1])
        assert summary["predictions"][kind]["width"] == of["widths"][-1]
    printed = capsys.readouterr().out
    for of in summary["slopes"].values():
        assert of["verdict"] in printed
    assert "32: q, k, v, o, gate, up; 48: down" in printed
    assert (given["out"] / "width.png").is_file() and (given["out"] / "width.pdf").is_file()
    assert_drawn(drawn["width"], summary)

    checkpoint, windows = options.load()
    assert_same_loss(summary["predictions"]["down"]["detected"], checkpoint, windows, options)

    def at_divergence(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(width._Measurement, "at_divergence", at_divergence)
    monkeypatch.setattr(width.figure, "draw", lambda *_: None)
    assert width.main(options)["slopes"] == summary["slopes"]


def assert_drawn(figure, summary):
    """Panel a: random matrices; b: a curve per kind over its widths; c: a point per kind."""
    random, layers, predictions = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "a  Random matrices at 20 dB",
        "b  Layers of the model at 20 dB",
        "c  Predictions at KL 0.01",
    ]
    for axes in figure.axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert axes.get_xlabel() == "width N of the product [inputs]"
    drawn_random = [list(line.get_xdata()) for line in random.lines if len(line.get_xdata()) == 3]
    assert drawn_random == [sorted({row["width"] for row in summary["random"]})] * 2
    kinds = summary["layers"]
    curves = [line for line in layers.lines if len(line.get_xdata()) == 5 and line.get_linestyle() == "-"]
    for curve, needs in zip(curves, kinds.values(), strict=True):
        assert list(curve.get_xdata()) == needs["widths"]
        np.testing.assert_allclose(curve.get_ydata(), np.exp(np.mean(np.log(needs["detected"]), axis=0)))
    points = [(each.lines[0].get_xdata()[0], each.lines[0].get_ydata()[0]) for each in predictions.containers]
    assert points == [(need["width"], need["detected"]) for need in summary["predictions"].values()]
    for axes in (layers, predictions):
        assert set(kinds) <= {text.get_text() for text in axes.texts}


def assert_same_loss(
    detected: float, checkpoint: models.Checkpoint, windows: np.ndarray, options: width.WidthOptions
) -> None:
    """With `down` alone on light by another way, a policy, and this much light, KL is what was asked for."""

    def logits(params, tokens):
        return checkpoint.forward(params, tokens)[:, options.unscored :]

    emulated = jax.jit(optics.emulate(logits, policy=lambda site: site.path == "layers.down", diagnostics=True))
    core = optics.physical_limit(rows=48, columns=48).replace({"effects": optics.Effects.only("shot")})
    losses = []
    for number, window in enumerate(windows):
        tokens, key = jnp.asarray(window[None]), jax.random.fold_in(jax.random.key(options.seed), number)
        for _ in range(2):
            found, seen = emulated(core, key, checkpoint.params, tokens)
            (readings,) = seen.values()
            lit = float(jnp.sum(readings.detected) / jnp.sum(readings.macs))
            core = core.replace({"source.power": core.source.power * detected / lit})
        losses.append(agreement(found, logits(checkpoint.params, tokens), tokens[:, options.unscored :]).kl)
    assert np.exp(np.mean(np.log(losses))) == pytest.approx(options.kl, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--snr-db", "-3"], "snr_db = -3.0 must be between 0 and 60 dB"),
        (["--kl", "0"], "kl = 0.0 must be above 0 and at most 1"),
        (["--unscored", "127"], "unscored = 127 must be between 0 and window_tokens - 2"),
        (["--widths", "64", "128"], "widths = (64, 128) must be three or more different ones"),
        (["--widths", "1", "64", "128"], "between 2 and 65536"),
        (["--draws", "0"], "draws = 0 must be at least 1"),
        (["--windows", "0"], "windows = 0 must be at least 1"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments, message, assert_refused):
    assert_refused(["width", *arguments], message)
