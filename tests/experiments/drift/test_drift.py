"""`otc drift` on a small core: curves of several intervals over the same walks, the table and the figure."""

import json

import numpy as np
import pytest

from experiments.drift import program as drift

MODULE = """
import jax.numpy as jnp
import numpy as np

from experiments import sweeps


def forward(params, batch):
    return batch @ params


def score(params, batch, reference):
    return {"error": jnp.abs(forward(params, batch) - reference).mean(axis=-1), "one": jnp.ones(())}


draws = np.random.default_rng(0)
params = draws.normal(size=(12, 8)).astype(np.float32)
data = draws.normal(size=(1, 16, 12)).astype(np.float32)
metrics = {"error": sweeps.Metric("error", "1", better="less"), "one": sweeps.Metric("one", "1", better="more")}
function = sweeps.Function(score, params, data, metrics, forward=forward, name="product")
"""


def test_drift_draws_every_interval_over_the_same_walks(tmp_path, drawn, capsys):
    (tmp_path / "driftfunction.py").write_text(MODULE, encoding="utf-8")
    options = drift.DriftOptions(
        function=f"{tmp_path}/driftfunction:function",
        rows=12,
        columns=8,
        factor=30.0,
        intervals=(1800.0, 7200.0),
        points=3,
        paths=2,
        averages=4,
        out=tmp_path / "out",
    )
    summary = drift.main(options)
    assert summary == json.loads((options.out / "summary.json").read_text(encoding="utf-8"))
    assert summary["times"] == [0.0, 1798.2, 1800.0, 3598.2, 3600.0]
    assert summary["exact"] == {"error": 0.0, "one": 1.0}
    often, once = summary["intervals"]
    assert (often["calibrations"], once["calibrations"]) == ([0.0, 1800.0, 3600.0], [0.0])
    assert often["watts"] == pytest.approx(4 * once["watts"], rel=1e-5)
    for name in ("error", "residual"):
        early, late = (np.array(row["figures"][name]["mean"]) for row in (often, once))
        # The same walk until the second calibration, and 5 % of each gain after an hour without one.
        np.testing.assert_allclose(early[:2], late[:2], rtol=1e-4)
        assert early[-1] < 0.7 * late[-1]
    assert often["figures"]["one"]["mean"] == [1.0] * 5

    printed = capsys.readouterr().out
    assert "rms drift of a source 5.40% in an hour" in printed
    assert len(drawn["drift"].axes) == 3
    (axes,) = (each for each in drawn["drift"].axes if each.get_ylabel().startswith("error of a product"))
    assert axes.get_xlabel() == "time [min]"
    np.testing.assert_allclose(axes.lines[0].get_ydata(), often["figures"]["residual"]["mean"], rtol=1e-6)
    assert [line.get_label() for line in axes.lines] == ["every 30 min", "calibrated at the start"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--intervals", "0"], "intervals = 0.0 must be a number of seconds above 0"),
        (["--duration", "-1"], "duration = -1.0 must be a number of seconds above 0"),
        (["--points", "1"], "points = 1 must be a whole number, at least 2"),
        (["--factor", "-1"], "factor = -1.0 must be a finite number, at least 0"),
        (["--preset", "tody"], "no preset 'tody'; did you mean 'today'?"),
        (["--function", "nowhere:function"], "there is no module 'nowhere'"),
    ],
)
def test_drift_refuses_bad_option_in_one_line(arguments, message, assert_refused):
    assert_refused(["drift", *arguments], message)
