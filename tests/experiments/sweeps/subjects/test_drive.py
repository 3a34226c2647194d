"""The drive that a sweep measures on its subject: it is that of an emulation's readings, and light is sized by it."""

import jax
import numpy as np
import pytest

import optics
from experiments import sweeps
from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.plots import tables
from experiments.sweeps.subjects import drive

SMALL = optics.ideal(optics.projected_2029(rows=16, columns=16))


def forward(params, x):
    return (x @ params["in"]) ** 3 @ params["out"]


def given():
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"in": jax.random.normal(keys[0], (40, 24)), "out": jax.random.normal(keys[1], (24, 8))}
    return params, jax.random.normal(keys[2], (8, 40))


@pytest.mark.parametrize("changes", [{}, {"encoding.scales": "tile", "encoding.inputs": "unsigned"}])
def test_the_meter_reads_what_an_exact_core_does(changes):
    core = SMALL.replace(changes)
    _, seen = optics.emulate(forward, diagnostics=True)(core, jax.random.key(1), *given())
    found = drive.measure_drive(core, forward, [given()])
    assert found.by_site == pytest.approx({name: float(each.mean_drive()) for name, each in seen.items()}, rel=1e-4)
    assert found.mean == pytest.approx(float(optics.measured_drive(seen)), rel=1e-4)


def test_the_drive_of_a_design_is_that_of_the_vectors_sent():
    """One large element in the digital vector, whose drive is far below that of the others."""
    params, x = given()
    x = x.at[0, 0].set(1e3)
    design = optics.CoresBySite(SMALL, [optics.SiteRule("in", optics.DIGITAL, positions=(0,))])
    _, seen = optics.emulate(forward, diagnostics=True)(design, jax.random.key(1), params, x)
    found = drive.measure_drive(design, forward, [(params, x)])
    assert found.by_site == pytest.approx({name: float(each.mean_drive()) for name, each in seen.items()}, rel=1e-4)
    whole = drive.measure_drive(SMALL, forward, [(params, x)])
    (first,) = (name for name in whole.by_site if " in " in name)
    assert found.by_site[first] > 1.1 * whole.by_site[first]


def test_several_calls_are_one_mean():
    params, x = given()
    parts = drive.measure_drive(SMALL, forward, [(params, x[:4]), (params, x[4:])])
    assert parts.mean == pytest.approx(drive.measure_drive(SMALL, forward, [(params, x)]).mean, rel=1e-5)


METRICS = ("launched_per_mac", "photons_per_mac", "fj_per_mac")


def test_the_axis_is_what_readings_count(byte_model, text_file, tmp_path):
    """Photons per MAC that a language model's products launch under noise are those of the axis, within 10 %; so are
    those that the bill is for. The light of dark sources is all that the axis leaves out."""
    sweep = Sweep(
        core=optics.projected_2029(rows=64, columns=64),
        dimensions=(sweeps.listed("light.photons_per_mac", [3e3, 3e4]),),
        subject=sweeps.Text(text=str(text_file), model=str(byte_model), windows=2, window_tokens=24),
        metrics=METRICS,
    )
    run = sweeps.run(sweep, tmp_path / "run", progress=False)
    means = {name: run.estimate(name).mean for name in METRICS}
    np.testing.assert_allclose(means["photons_per_mac"], [3e3, 3e4], rtol=1e-5)
    np.testing.assert_allclose(means["launched_per_mac"], [3e3, 3e4], rtol=0.1)
    kept = run.manifest["drive of group 0"]
    assert 0 < kept["mean"] < 1 and len(kept["by_site"]) == 8
    assert "measured: mean drive of full scale, by readings of this function" in tables.heading(run)
    # Going on with a run takes its drive as it is kept.
    again = sweeps.run(sweep, tmp_path / "run", progress=False)
    assert again.manifest["drive of group 0"] == kept


def test_a_drive_that_is_set_is_kept(tmp_path):
    """Gaussian inputs of 0.3 or so, billed as the file says; the definition says which, so that runs are told apart."""
    made = {
        "core": optics.projected_2029(rows=16, columns=16),
        "subject": sweeps.Product(rows=16, columns=16, vectors=4),
        "metrics": ("photons_per_mac", "fj_per_mac"),
    }
    measured, fixed = Sweep(**made), Sweep(**made, fixed={"source.mean_drive": 0.5})
    assert measured.measures_drive and not fixed.measures_drive
    assert measured.describe()["mean drive"] != fixed.describe()["mean drive"]
    rows = [sweeps.run(each, tmp_path / str(n), progress=False) for n, each in enumerate((measured, fixed))]
    photons = [float(run.estimate("photons_per_mac").mean[0]) for run in rows]
    assert photons[0] / photons[1] == pytest.approx(rows[0].manifest["drive of group 0"]["mean"] / 0.5, rel=1e-4)
    assert "drive of group 0" not in rows[1].manifest
    assert "(source.mean_drive), not measured on this function: 0.5" in tables.heading(rows[1])


def test_nothing_is_measured_where_nothing_depends_on_it():
    subject = sweeps.Product(rows=16, columns=16, vectors=4)
    assert not Sweep(core=SMALL, subject=subject, metrics=("snr_db",)).measures_drive
    by_light = sweeps.listed("light.photons_per_mac", [1e3, 1e4])
    assert Sweep(core=SMALL, subject=subject, metrics=("snr_db",), dimensions=(by_light,)).measures_drive
