"""The benchmark on products small enough to take no time; what it says of speed is not tested, that it says it is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.bench import figure, floors, worker
from experiments.bench import program as bench
from experiments.bench.cases import BenchCase, operands
from experiments.commands import run
from optics.datapath import tiling

SMALL = ["--only", "product", "--threads", "1", "--rounds", "3", "--shapes", "48", "40", "--vectors", "4"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    assert run(["bench", *SMALL, "--tile-rows", "16", "64", "--out", str(folder)]) == 0
    return folder


def test_a_row_has_times_their_ratio_and_the_memory(out):
    summary = json.loads((out / "summary.json").read_text())
    assert [row["case"] for row in summary["rows"]] == [
        "48 -> 40, 4 vectors, tiles of 16",
        "48 -> 40, 4 vectors, tiles of 64",
        "48 -> 40, 4 vectors, tiles of 16, bfloat16",
        "48 -> 40, 4 vectors, tiles of 64, bfloat16",
    ]
    assert (summary["settings"], summary["environment"]) == ("none", {})
    for row in summary["rows"]:
        low, middle, high = row["ratio_quartiles"]
        assert low <= middle == row["ratio"] <= high
        assert row["processor_ratio"] > 0
        assert row["digital_s"] > 0 and row["emulated_s"] > 0 and row["load_s"] > 0
        # Operands and result at the least: (4 x 48 + 48 x 40 + 4 x 40) numbers of four bytes.
        assert row["digital_bytes"] >= 4 * (4 * 48 + 48 * 40 + 4 * 40)
        assert row["emulated_bytes"] > row["digital_bytes"]
        assert row["peak_bytes_ratio"] > 1
        assert row["emulated_compile_s"] > row["digital_compile_s"] > 0
        assert row["emulated_lines"] > row["digital_lines"] > 0
        assert row["tokens_per_s"] is None
    assert {"cpu", "cpus", "system"} <= set(summary["machine"])
    assert (out / "bench.png").is_file() and (out / "bench.pdf").is_file()


def test_tuned_settings_keep_memory_and_have_wide_vectors():
    environment = bench._environment("tuned")
    assert environment["MALLOC_MMAP_MAX_"] == "0"
    assert environment["XLA_FLAGS"] == bench.VECTORS_OF_512_BITS


def test_the_cases_of_a_gpu_are_one_of_each_kind_in_either_arithmetic():
    cases = bench.BenchOptions(gpu_check=True).cases()
    assert [case.kind for case in cases] == ["product", "forward", "gradient", "sweep"] * 2
    assert [case.arithmetic for case in cases] == ["float32"] * 4 + ["bfloat16"] * 4
    assert (cases[0].rows, cases[0].columns, cases[0].vectors, cases[3].points) == (4096, 4096, 4096, 64)


def test_figure_has_a_line_per_work_and_a_mark_per_way(out, drawn, tmp_path):
    summary = json.loads((out / "summary.json").read_text())
    figure.draw(summary, tmp_path)
    (axes,) = drawn["bench"].axes
    works = ["48 -> 40, 4 vectors, tiles of 16", "48 -> 40, 4 vectors, tiles of 64"]
    assert [label.get_text() for label in axes.get_yticklabels()] == works
    assert axes.get_title(loc="left") == "today, 1 thread"
    (legend,) = drawn["bench"].legends
    assert [text.get_text() for text in legend.get_texts()] == ["digital float32", "float32", "bfloat16"]
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    for way, container in zip(("float32", "bfloat16"), axes.containers, strict=True):
        rows = [row for row in summary["rows"] if row["way"] == way]
        medians = container.lines[0]
        assert list(medians.get_xdata()) == [row["ratio"] for row in rows]
        assert list(medians.get_ydata()) == [works.index(row["work"]) for row in rows]
        assert all(low < end < high for row in rows for end in row["ratio_quartiles"])


def test_what_was_timed_is_not_timed_again(out, monkeypatch, capsys):
    monkeypatch.setattr(bench, "_timed", lambda *_: pytest.fail("timed again"))
    assert run(["bench", *SMALL, "--tile-rows", "16", "64", "--out", str(out)]) == 0
    assert "tiles of 16" in capsys.readouterr().out


SAME_WORK = [
    BenchCase(kind="product", preset="physical_limit", rows=48, columns=40, vectors=4, tile_rows=64),
    BenchCase(kind="convolution", preset="physical_limit", batch=1, side=6, channels=4, tile_rows=64),
]


@pytest.mark.parametrize("case", SAME_WORK, ids=lambda case: case.kind)
def test_the_same_work_is_compared(case):
    """Both sides of a pair give the same product, up to the noise; a sweep and a product have the same operands."""
    pair = worker.pair(case)
    digital, emulated = np.asarray(pair.digital.call()), np.asarray(pair.emulated.call())
    assert 0 < np.std(emulated - digital) < 0.05 * np.std(digital)


def test_the_floor_is_a_product_with_noise_and_rounding():
    """Two samples of variance 1e-6 and two roundings to 1/511 an output's path: the inputs' add up over 48 rows."""
    case = BenchCase(kind="floor", preset="today", rows=48, columns=40, vectors=400, tile_rows=16)
    pair = worker.pair(case)
    off = np.asarray(pair.emulated.call()) - np.asarray(pair.digital.call())
    each = 1e-6 + (1 / 511) ** 2 / 12
    # 16,000 outputs that share 400 x 48 inputs: the variance is known to 5 %.
    assert np.var(off) == pytest.approx(48 * each + 3 * each, rel=0.15)


def test_the_bare_emulation_has_the_noise_that_it_names():
    """Against float64: DACs' rounding and noise, intensity, light and converters; 16,000 outputs tell it to 5 %."""
    case = BenchCase(kind="bare", preset="today", rows=48, columns=40, vectors=400, tile_rows=64)
    pair, numbers = worker.pair(case), floors.Numbers()
    x, w = (np.asarray(a, np.float64) for a in operands(case))
    u, t = x / np.abs(x).max(axis=1, keepdims=True), w / np.abs(w).max(axis=0)
    off = (np.asarray(pair.emulated.call()) - x @ w) / np.abs(x).max(axis=1, keepdims=True) / np.abs(w).max(axis=0)
    inputs = numbers.converter_variance + numbers.input_levels**-2 / 12 + numbers.intensity_variance * u**2
    full = 1 + numbers.loading * np.sqrt(np.sum(u**2, axis=1, keepdims=True) * np.mean(t**2, axis=0))
    light = np.abs(u).sum(axis=1, keepdims=True) * np.abs(t).mean(axis=0)
    outputs = numbers.light_variance * light + (numbers.converter_variance + numbers.output_levels**-2 / 12) * full**2
    assert np.mean(off**2 / (inputs @ t**2 + outputs)) == pytest.approx(1, abs=0.15)


def layers(params, x):
    x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(0.2 * (x @ w)), None), x, params["square"])
    return x @ params["out"]


def test_the_bare_core_without_noise_is_the_product_of_its_codes():
    """Against a loop in float64, in a scan and out of it, in tiles of 16 x 14 and 16 x 16 the last of which is padded.

    Codes of the outputs are so fine that rounding in float32 does not show. Where it takes an input to the next code,
    it does, for that vector alone: of six vectors most have to agree.
    """
    noise = np.random.default_rng(3)
    square, out, x = (noise.normal(size=size).astype(np.float32) for size in ((2, 40, 40), (40, 24), (6, 40)))
    core = floors.BareCore(floors.Numbers(0.0, 0.0, 0.0, output_levels=2.0**20), rows=16, columns=16)
    params = {"square": jnp.asarray(square), "out": jnp.asarray(out)}
    loaded = optics.load(layers)(core, params, x)
    found = jax.jit(optics.emulate(layers))(loaded, jax.random.key(0), params, x)

    def product(x, w):
        y = np.zeros((x.shape[0], w.shape[1]))
        for first in range(0, x.shape[1], 14):
            part = x[:, first : first + 14]
            scale = np.abs(part).max(axis=1, keepdims=True)
            y += np.round(part / scale * 255) / 255 * scale @ w[first : first + 14]
        return y

    exact = x.astype(np.float64)
    for w in square.astype(np.float64):
        exact = np.tanh(0.2 * product(exact, w))
    off = np.abs(found - product(exact, out.astype(np.float64))).max(axis=1)
    assert np.sort(off)[4] < 2e-4
    unloaded = jax.jit(optics.emulate(layers))(core, jax.random.key(0), params, x)
    assert np.sort(np.abs(found - unloaded).max(axis=1))[4] < 2e-5


def test_the_bare_core_has_the_noise_of_the_bare_product():
    case = BenchCase(kind="bare", preset="today", rows=48, columns=40, vectors=5, tile_rows=20)
    (x, w), key, numbers = operands(case), jax.random.key(4), floors.Numbers()
    core = floors.BareCore(numbers, rows=20, columns=64)
    tiles = core.tiles(w.shape)
    planes = floors.load(tiling.cut_weights(w, tiles)[0])
    by_hand = jax.jit(lambda x, planes, key: floors.bare(x, planes, jax.random.fold_in(key, 0), numbers, tiles))
    found = jax.jit(lambda core, x, w, key: core.matmul(x, w, key=key))(core, x, w, key)
    np.testing.assert_allclose(found, by_hand(x, planes, key), rtol=0, atol=1e-4)


def test_the_forward_pass_has_a_case_with_bare_products():
    options = bench.BenchOptions(only=("forward", "bare-forward"), arithmetic=("float32",))
    assert [case.name for case in options.cases()] == [
        "SmolLM2 forward, 1 x 512 tokens, weights not loaded",
        "SmolLM2 forward, 1 x 512 tokens",
        "SmolLM2 forward, 4 x 512 tokens",
        "bare, SmolLM2 forward, 1 x 512 tokens",
    ]
    assert options.cases()[1].work == options.cases()[-1].work


@pytest.mark.parametrize(
    "wrong, said",
    [
        (["--threads", "0"], "threads"),
        (["--threads", "4096"], "at most"),
        (["--rounds", "2"], "rounds = 2"),
        (["--preset", "todai"], "today"),
        (["--vectors", "0"], "vectors"),
    ],
)
def test_wrong_options_are_one_line(wrong, said, tmp_path, capsys):
    assert run(["bench", *wrong, "--out", str(tmp_path / "none")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
