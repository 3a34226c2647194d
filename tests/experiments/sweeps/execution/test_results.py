"""What a run says is what was computed: against direct calls of the core and the model, and back from every export."""

import csv
import sqlite3

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from pyarrow import parquet
from scipy import stats

import models
import optics
from experiments import sweeps
from experiments.sweeps.subjects.product import LoadedProduct

PRODUCT = sweeps.Product(rows=16, columns=8, vectors=4)
ENOB = (5.0, 6.0, 8.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    sweep = sweeps.Sweep(
        core=optics.projected_2029(rows=8, columns=8),
        dimensions=(sweeps.listed("adc.enob", ENOB), sweeps.listed("encoding.weights", ["rails", "offset"])),
        subject=PRODUCT,
        metrics=("relative_error", "snr_db", "fj_per_mac"),
        keys=4,
        seed=7,
    )
    return sweeps.run(sweep, tmp_path_factory.mktemp("results"), progress=False)


def test_a_product_is_what_the_core_says(run):
    """Each figure beside a direct call of `matmul` and `price`, without any of the sweep's machinery.

    Light is billed for the mean drive of the vectors, each scaled to its largest element.
    """
    x, w = LoadedProduct(PRODUCT).operands
    drive = float(np.mean(np.abs(x) / np.max(np.abs(x), axis=1, keepdims=True)))
    table = run.columns()
    for point, enob, weights, key, error, cost in zip(
        *(table[name] for name in ("point", "adc.enob", "encoding.weights", "key", "relative_error", "fj_per_mac")),
        strict=True,
    ):
        core = optics.projected_2029(rows=8, columns=8).replace({"adc.enob": enob, "encoding.weights": weights})
        y = core.matmul(x, w, key=jax.random.fold_in(jax.random.key(7), key))
        wanted = np.linalg.norm(y - x @ w) / np.linalg.norm(x @ w)
        assert error == pytest.approx(wanted, rel=1e-3), point
        (site,) = optics.trace(lambda w, x: x @ w)(w, x)
        bill = optics.price(core, [site], readings={site.name: drive})
        assert cost == pytest.approx(float(bill.per_mac) * 1e15, rel=1e-5)


def test_draws_of_the_noise_differ_and_are_those_of_all_points(run):
    errors = run.values["relative_error"][:, :, 0]
    assert all(len(set(row)) == 4 for row in errors)
    assert (run.values["fj_per_mac"].std(axis=1) == 0).all()


def test_estimates_by_hand(run):
    found = run.estimate("snr_db", 0.9)
    for point in range(6):
        values = run.values["snr_db"][point, :, 0]
        low, high = stats.t.interval(0.9, 3, np.mean(values), stats.sem(values))
        assert found.mean[point] == pytest.approx((low + high) / 2)
        assert found.half[point] == pytest.approx((high - low) / 2)
    assert (found.count == 4).all()


def test_exports_come_back(run, tmp_path):
    table = run.columns()
    run.export(tmp_path / "deep" / "run.csv")
    with (tmp_path / "deep" / "run.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 24 and list(read[0]) == list(table)
    assert [float(row["snr_db"]) for row in read] == table["snr_db"].tolist()
    run.export(tmp_path / "run.parquet")
    read = parquet.read_table(tmp_path / "run.parquet").to_pydict()
    assert read["encoding.weights"] == table["encoding.weights"].tolist()
    assert read["relative_error"] == table["relative_error"].tolist()
    run.export(tmp_path / "run.nc")
    read = xarray.load_dataset(tmp_path / "run.nc", engine="scipy")
    chosen = read["snr_db"].sel({"adc.enob": 6.0, "encoding.weights": "offset"})
    assert chosen.dims == ("key", "sample") and chosen.attrs["units"] == "dB"
    here = (table["adc.enob"] == 6.0) & (table["encoding.weights"] == "offset")
    np.testing.assert_array_equal(chosen[:, 0], table["snr_db"][here])


def test_a_sample_of_a_box_is_labelled(tmp_path):
    sweep = sweeps.Sweep(
        core=optics.projected_2029(rows=8, columns=8),
        dimensions=(sweeps.sobol(4, {"adc.enob": (5, 9, "linear"), "clock": (1e8, 1e9, "log")}),),
        subject=PRODUCT,
        metrics=("relative_error",),
    )
    found = sweeps.run(sweep, tmp_path, progress=False)
    found.export(tmp_path / "run.nc")
    read = xarray.load_dataset(tmp_path / "run.nc", engine="scipy")["relative_error"]
    assert read.dims == ("sobol", "key", "sample")
    np.testing.assert_array_equal(read["adc.enob"], found.axis("adc.enob"))
    np.testing.assert_array_equal(read[:, 0, 0], found.columns()["relative_error"])


def test_wrong_names_are_refused_with_the_nearest(run):
    with pytest.raises(ValueError, match="the run has no axis 'adc.enb'; did you mean 'adc.enob'?"):
        run.axis("adc.enb")
    with pytest.raises(ValueError, match="the run has no metric 'snr'; did you mean 'snr_db'?"):
        run.estimate("snr")
    with pytest.raises(ValueError, match="confidence = 2 must be between 0 and 1"):
        run.estimate("snr_db", 2)


def test_an_unknown_kind_of_export_is_refused(run, tmp_path, assert_refused):
    assert_refused(["export", str(run.folder), str(tmp_path / "run.xls")], ".csv, .parquet, .nc")


@pytest.mark.parametrize("program", ["show", "plot", "export"])
def test_no_run_is_one_line(program, tmp_path, assert_refused):
    more = [str(tmp_path / "to.csv")] if program == "export" else []
    assert_refused([program, str(tmp_path / "nowhere"), *more], "there is no run in")
    (tmp_path / "results.sqlite").write_text("something else", encoding="utf-8")
    assert_refused([program, str(tmp_path), *more], "is no file of a sweep")


def test_a_language_model_is_scored_as_by_hand(byte_model, text_file, tmp_path):
    """KL, NLL and top-1 of windows that share a forward pass, against plain NumPy on the emulated logits."""
    subject = sweeps.Text(text=str(text_file), model=str(byte_model), windows=2, window_tokens=24)
    sweep = sweeps.Sweep(
        core=optics.projected_2029(rows=64, columns=64),
        dimensions=(sweeps.listed("adc.enob", [4.0, 9.0]),),
        subject=subject,
        metrics=("nll", "delta_nll", "kl", "top1", "joules_per_token"),
        seed=3,
    )
    found = sweeps.run(sweep, tmp_path, progress=False).values
    model = models.load_gguf(byte_model)
    tokens = models.windows(model.tokenizer.encode(models.load_text(text_file)), 2, 24)
    exact = log_softmax(jax.jit(model.forward)(model.params, jnp.asarray(tokens)))
    emulated = jax.jit(optics.emulate(model.forward))
    truth = np.array([nll(exact[w], tokens[w]) for w in range(2)])
    for point, enob in enumerate((4.0, 9.0)):
        core = optics.projected_2029(rows=64, columns=64).replace({"adc.enob": enob})
        key = jax.random.fold_in(jax.random.key(3), 0)
        noisy = log_softmax(emulated(core, key, model.params, jnp.asarray(tokens)))
        for window in range(2):
            mine, reference = noisy[window, :-1], exact[window, :-1]
            loss = nll(noisy[window], tokens[window])
            kl = np.mean(np.sum(np.exp(reference) * (reference - mine), axis=-1))
            same = np.mean(mine.argmax(axis=-1) == reference.argmax(axis=-1))
            assert found["nll"][point, 0, window] == pytest.approx(loss, rel=1e-4)
            assert found["delta_nll"][point, 0, window] == pytest.approx(loss - truth[window], abs=1e-4)
            assert found["kl"][point, 0, window] == pytest.approx(kl, rel=1e-3)
            assert found["top1"][point, 0, window] == pytest.approx(same)
    assert found["kl"][0].mean() > 3 * found["kl"][1].mean()


def test_texts_are_an_axis_and_share_a_compilation(byte_model, text_file, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(text_file.read_text(encoding="utf-8").upper(), encoding="utf-8")
    subject = sweeps.Text(text=str(text_file), model=str(byte_model), windows=2, window_tokens=24)
    sweep = sweeps.Sweep(
        core=optics.projected_2029(rows=64, columns=64),
        dimensions=(sweeps.listed("on.text", [str(text_file), str(other)]), sweeps.listed("adc.enob", [5.0, 9.0])),
        subject=subject,
        metrics=("nll", "kl"),
    )
    found = sweeps.run(sweep, tmp_path / "run", progress=False)
    assert found.sessions[-1]["compilations"] == 1
    nll = found.values["nll"].mean(axis=(1, 2)).reshape(2, 2)
    assert abs(nll[0] - nll[1]).min() > 0.01
    text_file.write_text("Another text under the same name, and long enough for two windows. " * 4, encoding="utf-8")
    database = sqlite3.connect(found.path)
    with database:
        database.execute("UPDATE trials SET done = 0 WHERE point = 0")
    database.close()
    with pytest.raises(ValueError, match="another model, text or function under the same name"):
        sweeps.run(sweep, tmp_path / "run", progress=False)


@pytest.mark.slow
def test_readings_of_a_language_model(byte_model, text_file, tmp_path):
    subject = sweeps.Text(text=str(text_file), model=str(byte_model), windows=2, window_tokens=24)
    sweep = sweeps.Sweep(
        core=optics.projected_2029(rows=64, columns=64), subject=subject, metrics=("snr_db", "kl", "enob_full_scale")
    )
    found = sweeps.run(sweep, tmp_path, progress=False).values
    model = models.load_gguf(byte_model)
    tokens = models.windows(model.tokenizer.encode(models.load_text(text_file)), 2, 24)
    emulated = optics.emulate(model.forward, diagnostics=True)
    for window in range(2):
        key = jax.random.fold_in(jax.random.key(0), window)
        _, seen = emulated(sweep.core, key, model.params, jnp.asarray(tokens[window : window + 1]))
        ratio = sum(float(np.sum(s.signal)) for s in seen.values()) / sum(float(np.sum(s.error)) for s in seen.values())
        assert found["snr_db"][0, 0, window] == pytest.approx(10 * np.log10(ratio), abs=0.02)


def test_a_run_in_the_making_can_be_read(run, tmp_path):
    """Half of the trials are taken out of a copy; what is left is shown, the rest is not there."""
    with sqlite3.connect(run.path) as database, sqlite3.connect(tmp_path / "results.sqlite") as copy:
        database.backup(copy)
        copy.execute("UPDATE trials SET done = 0 WHERE point > 2")
        copy.execute("DELETE FROM results WHERE point > 2")
    copy.close()
    half = sweeps.SweepResults(tmp_path)
    assert half.progress == (12, 24)
    assert np.isnan(half.estimate("snr_db").mean[3:]).all()
    np.testing.assert_array_equal(half.estimate("snr_db").mean[:3], run.estimate("snr_db").mean[:3])
    assert half.rows()[5]["snr_db"] is None and half.rows()[0]["snr_db"] is not None


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    return (
        logits
        - np.log(np.sum(np.exp(logits - logits.max(axis=-1, keepdims=True)), axis=-1, keepdims=True))
        - (logits.max(axis=-1, keepdims=True))
    )


def nll(scores, tokens):
    return -np.mean(scores[np.arange(len(tokens) - 1), tokens[1:]])
