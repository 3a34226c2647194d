"""What a sweep is: its points, its groups, and one clear error for everything that cannot be."""

import itertools

import numpy as np
import pytest

import optics
from experiments import sweeps
from experiments.sweeps.definition import axes, fields, toml_file

CORE = optics.projected_2029(rows=16, columns=8)


def product_sweep(**given):
    return sweeps.Sweep(**{"core": CORE, "subject": sweeps.Product(rows=16, columns=8), "metrics": ("snr_db",)} | given)


def test_spacings():
    assert sweeps.linear("adc.enob", 5, 10, 6).columns["adc.enob"] == (5, 6, 7, 8, 9, 10)
    assert sweeps.log("clock", 1e8, 1e10, 3).columns["clock"] == pytest.approx((1e8, 1e9, 1e10))
    assert sweeps.linear("adc.enob", 5, 10, 1).columns["adc.enob"] == (5,)


def test_sobol_fills_its_box_evenly():
    """Of 64 draws in two dimensions every cell of an 8 x 8 grid holds exactly one: a (0, 6, 2) net in base 2."""
    found = sweeps.sobol(64, {"adc.enob": (5, 9, "linear"), "clock": (1e8, 1e10, "log")}, seed=1)
    shares = np.array(found.columns["adc.enob"]) - 5, np.log10(found.columns["clock"]) - 8
    cells = {(int(a * 2), int(b * 4)) for a, b in zip(*shares, strict=True)}
    assert cells == set(itertools.product(range(8), range(8)))
    assert found == sweeps.sobol(64, {"adc.enob": (5, 9, "linear"), "clock": (1e8, 1e10, "log")}, seed=1)


def test_dimensions_cross_and_zipped_axes_move_together():
    sweep = product_sweep(
        dimensions=(
            sweeps.listed("encoding.weights", ["rails", "offset"]),
            sweeps.zipped(sweeps.listed("adc.enob", [5, 6, 7]), sweeps.listed("adc.bits", [7, 8, 9])),
            sweeps.log("clock", 1e8, 1e9, 2),
        )
    )
    wanted = list(itertools.product(["rails", "offset"], [(5, 7), (6, 8), (7, 9)], [1e8, 1e9]))
    found = zip(*(sweep.column(name) for name in sweep.axes), strict=True)
    assert [(word, (enob, bits), clock) for word, enob, bits, clock in found] == wanted
    assert sweep.points == 12 and len(sweep.groups) == 2
    assert [group.core.encoding.weights for group in sweep.groups] == ["rails", "offset"]
    np.testing.assert_array_equal(np.concatenate([group.points for group in sweep.groups]), np.arange(12))


def test_groups_are_of_static_choices_alone():
    sweep = product_sweep(
        dimensions=(
            sweeps.linear("adc.enob", 5, 10, 50),
            sweeps.listed("rows", [8, 16]),
            sweeps.listed("on.vectors", [2]),
        )
    )
    assert len(sweep.groups) == 2
    assert [(group.core.rows, group.subject.vectors, len(group.points)) for group in sweep.groups] == [
        (8, 2, 50),
        (16, 2, 50),
    ]


def test_what_is_set_comes_first_and_light_last():
    """Light for a precision is sized at each point: at twice the clock a symbol's photons cost twice the power."""
    sweep = product_sweep(
        fixed={"light.effective_bits": 7.0, "rows": 8}, dimensions=(sweeps.listed("clock", [1e9, 2e9]),)
    )
    (group,) = sweep.groups
    assert group.core.rows == 8
    for clock in (1e9, 2e9):
        here = {name: values[list(group.values["clock"]).index(clock)] for name, values in group.values.items()}
        found = fields.with_values(group.core, here)
        wanted = optics.with_effective_bits(CORE.replace({"rows": 8, "clock": clock}), 7.0)
        assert float(found.source.power) == pytest.approx(float(wanted.source.power), rel=1e-6, abs=0)
        assert float(found.tia.full_well) == pytest.approx(float(wanted.tia.full_well), rel=1e-6, abs=0)


def test_every_number_of_a_core_can_be_an_axis():
    names = fields.numbers(CORE)
    assert set(names) | {name for name in CORE.numbers() if np.ndim(CORE.numbers()[name])} == set(CORE.numbers())
    assert not set(names) & set(fields.choices(CORE))
    assert {"rows", "encoding.inputs", "adc.span"} <= set(fields.choices(CORE))


REFUSED = {
    "a misspelt axis": ({"dimensions": (axes.listed("adc.enbo", [5]),)}, "did you mean 'adc.enob'?"),
    "a misspelt field of the subject": ({"dimensions": (axes.listed("on.vecors", [5]),)}, "did you mean 'on.vectors'?"),
    "a part": ({"dimensions": (axes.listed("adc", [5]),)}, "there is no field 'adc' to vary or set"),
    "a static field of thousands of values": (
        {"dimensions": (axes.listed("rows", list(range(1, 3001))), axes.listed("columns", [8, 16]))},
        "the static axes rows, columns have 6000 values together",
    ),
    "a value out of bounds": ({"dimensions": (axes.listed("adc.enob", [7, -5]),)}, "at adc.enob = -5: ADC.enob = -5.0"),
    "values that cannot be together": (
        {"dimensions": (axes.listed("drift.age", [1e9]),), "fixed": {"upkeep.interval": 10.0}},
        "drift.age = ",
    ),
    "a word for a number": ({"dimensions": (axes.listed("adc.enob", ["high"]),)}, "'high' must be a number"),
    "a number for a word": ({"dimensions": (axes.listed("encoding.inputs", [3]),)}, "Encoding.inputs = 3 is none of"),
    "half a row": ({"dimensions": (axes.listed("rows", [1.5]),)}, "rows = 1.5 must be a whole number"),
    "the same axis twice": ({"dimensions": (axes.listed("clock", [1e9]),) * 2}, "axis 'clock' is listed twice"),
    "the same point twice": ({"dimensions": (axes.listed("clock", [1e9, 1e9]),)}, "has 1000000000.0 twice"),
    "light set twice": (
        {"dimensions": (axes.listed("source.power", [1e-3]),), "fixed": {"light.effective_bits": 7}},
        "each set the source power",
    ),
    "an axis that is set": (
        {"dimensions": (axes.listed("clock", [1e9]),), "fixed": {"clock": 2e9}},
        "'clock' is both set and an axis",
    ),
    "an unknown metric": ({"metrics": ("snr",)}, "did you mean 'snr_db'?"),
    "a metric of a language model": ({"metrics": ("delta_nll",)}, "is not offered by product"),
    "no metric": ({"metrics": ()}, "metrics is empty"),
    "a metric twice": ({"metrics": ("snr_db", "snr_db")}, "metric 'snr_db' is listed twice"),
    "no key": ({"keys": 0}, "keys = 0 must be a whole number, at least 1"),
    "a subject of nothing": ({"subject": sweeps.Product(rows=0)}, "on.rows = 0 must be a whole number, at least 1"),
    "a window of one token": (
        {"subject": sweeps.Text(window_tokens=1), "metrics": ("kl",)},
        "on.window_tokens = 1 must be a whole number, at least 2",
    ),
    "an unknown model to price": ({"subject": sweeps.Text(priced_as="llama"), "metrics": ("kl",)}, "no model 'llama'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    given, message = REFUSED[case]
    with pytest.raises(ValueError) as refused:
        product_sweep(**given)
    assert message in str(refused.value)


IN_A_FILE = {
    "malformed": ("core = ", "Invalid value"),
    "an unknown table": ("cor = 'today'", "did you mean 'core'?"),
    "an unknown preset": ("core = 'toady'", "did you mean 'today'?"),
    "an empty axis": ("axes.adc.enob = []", "axis 'adc.enob' is empty"),
    "an axis without points": ("axes.adc.enob = { log = [5, 6] }", "axis 'adc.enob' lacks points"),
    "a misspelt spacing": ("axes.adc.enob = { linaer = [5, 6], points = 2 }", "did you mean 'linear'?"),
    "one bound": ("axes.adc.enob = { linear = [5], points = 2 }", "must be [low, high]"),
    "points that are no number": ("axes.adc.enob = { linear = [5, 6], points = 2.5 }", "points = 2.5"),
    "a log axis through 0": ("axes.clock = { log = [0, 1e9], points = 2 }", "of a log axis must be above 0"),
    "a bare number": ("axes.adc.enob = 5", "must be a list"),
    "unequal zips": ("[[zip]]\nadc.enob = [5, 6]\nadc.bits = [7]", "adc.enob 2, adc.bits 1"),
    "a zip in single brackets": ("[zip]\nadc.enob = [5, 6]", "write [[zip]]"),
    "an empty zip": ("[[zip]]", "must name at least one field"),
    "an odd number of draws": ("sobol = { points = 5, axes.adc.enob.linear = [5, 6] }", "must be a power of two"),
    "draws of nothing": ("sobol = { points = 4 }", "sobol has no axis"),
    "draws without a number": ("sobol.axes.adc.enob.linear = [5, 6]", "sobol lacks points"),
    "a kind of subject": ("on.kind = 'prduct'", "did you mean 'product'?"),
    "a field of a subject": ("on.window = 3", "did you mean 'windows'?"),
    "metrics as a word": ("metrics = 'kl'", "must be a list"),
    "an unknown metric": ("metrics = ['kl_']", "did you mean 'kl'?"),
}


@pytest.mark.parametrize("case", IN_A_FILE)
def test_a_file_is_refused_by_name(case, tmp_path, assert_refused):
    text, message = IN_A_FILE[case]
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    assert_refused(["sweep", str(path), "--out", str(tmp_path / "run")], message)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="wrong.toml: "):
        toml_file.load(path)


def test_a_missing_file_or_text_is_refused(tmp_path, assert_refused):
    assert_refused(["sweep", str(tmp_path / "none.toml")], "none.toml")
    path = tmp_path / "text.toml"
    path.write_text("on.text = 'owt_6'", encoding="utf-8")
    assert_refused(["sweep", str(path)], "on.text = 'owt_6' is no file; did you mean 'owt_5'?")


def test_a_file_says_what_python_says(tmp_path):
    path = tmp_path / "same.toml"
    path.write_text(
        """
        core = "projected_2029"
        metrics = ["snr_db", "fj_per_mac"]
        keys = 3
        set = { rows = 16, columns = 8, "light.effective_bits" = 6 }
        on = { kind = "product", rows = 16, columns = 8, vectors = 2 }
        axes = { "adc.enob" = { linear = [5, 10], points = 6 }, encoding.weights = ["rails", "offset"] }
        zip = [{ clock = [1e9, 2e9], source.rin = [-140, -130] }]
        [sobol]
        points = 4
        seed = 2
        axes = { mask.mismatch.linear = [0, 0.1], tia.noise_density.log = [1e-12, 1e-11] }
        """,
        encoding="utf-8",
    )
    in_python = sweeps.Sweep(
        core=optics.projected_2029(),
        metrics=("snr_db", "fj_per_mac"),
        keys=3,
        fixed={"rows": 16, "columns": 8, "light.effective_bits": 6},
        subject=sweeps.Product(rows=16, columns=8, vectors=2),
        dimensions=(
            sweeps.linear("adc.enob", 5, 10, 6),
            sweeps.listed("encoding.weights", ["rails", "offset"]),
            sweeps.zipped(sweeps.listed("clock", [1e9, 2e9]), sweeps.listed("source.rin", [-140, -130])),
            sweeps.sobol(4, {"mask.mismatch": (0, 0.1, "linear"), "tia.noise_density": (1e-12, 1e-11, "log")}, seed=2),
        ),
    )
    assert toml_file.load(path).describe() == in_python.describe() | {"name": "projected_2029"}
    assert in_python.points == 6 * 2 * 2 * 4


def test_mask_technologies_are_an_axis():
    """Each is a structure of its own; what else is set or varied comes after it, and light last."""
    sweep = product_sweep(
        dimensions=(
            sweeps.listed("mask.technology", ["nematic_lc", "today.dmd"]),
            sweeps.listed("mask.extinction_ratio", [100, 500]),
        ),
        fixed={"light.effective_bits": 6.0},
    )
    assert sweep.points == 4 and sweep.static_axes == ["mask.technology"]
    for group, (technology, scenario) in zip(
        sweep.groups, (("nematic_lc", "projected_2029"), ("dmd", "today")), strict=True
    ):
        assert group.core == optics.with_mask(CORE, technology, scenario)
        varied = fields.with_values(group.core, {name: values[0] for name, values in group.values.items()})
        assert float(varied.mask.extinction_ratio) == 100
        assert float(varied.source.power) == pytest.approx(
            float(optics.with_effective_bits(group.core, 6.0).source.power), rel=1e-5
        )


def test_a_mask_technology_may_be_of_one_core_of_a_design():
    design = optics.CoresBySite(CORE, {"head": CORE.replace({"adc.enob": 6.0})})
    found = fields.with_choices(design, {"default.mask.technology": "dmd", "rules.0.core.encoding.inputs": "slots"})
    assert [core.encoding.weight_slices for core in found.by_name.values()] == [8, 1]
    assert [core.encoding.inputs for core in found.by_name.values()] == ["rails", "slots"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("dmdd", r"no mask technology 'dmdd'; did you mean 'dmd'\?"),
        ("physical_limit.dmd", "is not offered in physical_limit"),
        (8, "mask.technology = 8 must be the name of a technology"),
    ],
)
def test_a_mask_technology_that_is_none_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        product_sweep(dimensions=(sweeps.listed("mask.technology", [value]),))
