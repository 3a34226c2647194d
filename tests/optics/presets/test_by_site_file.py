"""A design by site from a file is the one that Python makes, and what is wrong in a file is one error."""

import jax
import pytest

import optics
from optics import DIGITAL, CoresBySite, SiteRule

FILE = """
core = "projected_2029"

[[site]]
sites = "layers.down"
change = { "source.power" = 4e-3, adc.bits = 9 }

[[site]]
sites = "layers.*"
steps = [0, -1]
core = "digital"

[[site]]
sites = ["layers.*", "head"]
steps = [0]
positions = [0, 1, -1]
core = "digital"

[[site]]
sites = "head"
core = "mine.json"

[[site]]
nonnegative = "inputs"
change = { encoding.inputs = "unsigned" }
"""


@pytest.fixture
def write(tmp_path):
    def written(text):
        optics.serialise.save(optics.today(rows=64, columns=32), tmp_path / "mine.json")
        (tmp_path / "design.toml").write_text(text)
        return tmp_path / "design.toml"

    return written


def test_a_file_is_what_python_makes(write):
    core = optics.projected_2029()
    expected = CoresBySite(
        core,
        [
            SiteRule("layers.down", core.replace({"source.power": 4e-3, "adc.bits": 9})),
            SiteRule("layers.*", DIGITAL, (0, -1)),
            SiteRule(("layers.*", "head"), DIGITAL, (0,), (0, 1, -1)),
            SiteRule("head", optics.today(rows=64, columns=32)),
            SiteRule(optics.nonnegative_inputs, core.replace({"encoding.inputs": "unsigned"})),
        ],
    )
    found = optics.load_by_site(write(FILE))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert found.numbers() == expected.numbers()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('core = "today"', r"design.toml: it has no \[\[site\]\]"),
        ('[[site]]\nsites = "a"\ncore = "digital"', r'core = None must be a preset, a device, a file or "digital"'),
        ('core = "todya"\n[[site]]\nsites = "a"\ncore = "digital"', "did you mean 'today'"),
        ('core = "today"\n[[site]]\ncore = "digital"', r"\[\[site\]\] 1 needs the sites"),
        ('core = "today"\n[[site]]\nsites = "a"', r"\[\[site\]\] 1 says neither core nor change"),
        (
            'core = "today"\n[[site]]\nsite = "a"\nsites = "a"\ncore = "digital"',
            "no field 'site'; did you mean 'sites'",
        ),
        ('core = "today"\n[[site]]\nsites = "a"\nchange = { adc.bit = 9 }', r"\[\[site\]\] 1: ADC has no field 'bit'"),
        ('core = "today"\n[[site]]\nsites = "a"\nsteps = 1\ncore = "digital"', "steps = 1 must be a list"),
        (
            'core = "today"\n[[site]]\nsites = "a"\npositions = [0.0]\ncore = "digital"',
            r"\[\[site\]\] 1: positions = \[0.0\] must be a list of whole numbers",
        ),
        (
            'core = "today"\n[[site]]\nsites = "a"\ncore = "digital"\n[[site]]\nsites = "a"\nchange = { clock = 2e9 }',
            r"\[\[site\]\] 1 and 2 are both for 'a'",
        ),
        ('core = "today"\n[[site]]\nsites = "a"\ncore = "digital"\nchange = { clock = 2e9 }', "no fields to change"),
        ('core = "digital"\n[[site]]\nsites = "a"\ncore = "digital"', "all sites are digital"),
        ('core = "today"\n[[site]]\nnonnegative = "outputs"\ncore = "digital"', "'outputs' must be \"inputs\" or"),
        ('core = "today"\n[[site]]\nnonnegative = "inputs"\nsites = "a"\ncore = "digital"', "both sites and nonneg"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_error(write, text, message):
    with pytest.raises(ValueError, match=message):
        optics.load_by_site(write(text))


def test_save_by_site_writes_what_load_by_site_reads_back(write, tmp_path):
    """A core that differs in more than numbers has its own file, and a list of what a calibration measured too."""
    read = optics.load_by_site(write(FILE))
    measured = read.default.replace({"correction.output_gain": [1.0 + 1e-3 * n for n in range(read.default.columns)]})
    design = CoresBySite(
        read.default, [*read.rules, SiteRule("layers.q", measured), SiteRule("layers.k", read.default)]
    )
    files = optics.save_by_site(design, tmp_path / "again.toml")
    names = ["again.toml", "again.core.toml", *(f"again.rule{number}.toml" for number in (3, 4, 5, 6))]
    assert [file.name for file in files] == names
    assert 'core = "digital"' in files[0].read_text() and '"source.power" = ' in files[0].read_text()
    found = optics.load_by_site(files[0])
    assert jax.tree.structure(found) == jax.tree.structure(design)
    assert found.cores == design.cores and found.labels == design.labels


def test_save_by_site_refuses_a_rule_that_is_a_function(tmp_path):
    design = CoresBySite(optics.today(), [SiteRule(lambda site: site.rows > 8, DIGITAL)])
    with pytest.raises(ValueError, match="is a function of a site, which no file can hold"):
        optics.save_by_site(design, tmp_path / "design.toml")
    assert not list(tmp_path.iterdir())
