"""The list of evidence against the documentation, and the program that makes it: resumable, quick, and checked."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import tyro

from experiments import INTERRUPTED
from experiments.commands import PROGRAMS
from experiments.results import evidence, made, pages, program, shorten, tables
from experiments.results.evidence import Evidence
from experiments.results.program import ResultsOptions
from experiments.sweeps.definition import toml_file

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
LISTED = evidence.listed()


def test_every_figure_of_the_documentation_is_made_by_exactly_one_entry():
    figures = [name for entry in LISTED.values() for name in entry.figures]
    assert len(figures) == len(set(figures))
    drawn = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.png")}
    assert {name for name in figures if name.endswith(".png")} == drawn


def test_every_generated_table_has_markers_on_its_page_and_every_marker_a_table():
    marked = {(name, page.relative_to(DOCS).as_posix()) for page in DOCS.rglob("*.md") for name in pages.names(page)}
    assert {pair for entry in LISTED.values() for pair in entry.tables.items()} == marked
    assert {name for name, _ in marked} == set(tables.TABLES)


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
@pytest.mark.parametrize("name", LISTED)
def test_command_of_each_entry_parses_and_is_of_its_module(name, quick, tmp_path):
    entry = LISTED[name]
    kind, main = PROGRAMS[entry.command[0]]
    assert main.__module__ == entry.module
    arguments = program.arguments_of(entry, tmp_path, quick)
    options = tyro.extras.subcommand_cli_from_dict({key: of for key, (of, _) in PROGRAMS.items()}, args=arguments)
    assert isinstance(options, kind)
    assert options.out == tmp_path
    # Models of entries before it are not there.
    if hasattr(options, "check") and not entry.needs:
        options.check()
    # Functions of sweeps train a network as they load.
    if entry.command[0] == "sweep" and "digits" not in name:
        sweep = toml_file.load(options.file)
        assert sweep.points <= 8 if quick else sweep.points > 8


def test_shortened_study_has_few_steps_and_its_modules_beside_it(tmp_path):
    path = shorten.shortened(DOCS / "training" / "codesign.toml", tmp_path)
    study = tomllib.loads(path.read_text(encoding="utf-8"))
    assert (study["train"]["steps"], study["seeds"], study["methods"]) == (2, 1, ["codesign"])
    assert (tmp_path / "digits_mlp.py").is_file()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"module": "m"}, "evidence x needs command"),
        ({"command": ["serve"], "module": "m", "figure": {}}, "did you mean 'figures'"),
        ({"command": "serve", "module": "m"}, "x.command = 'serve' must be a list"),
    ],
)
def test_wrong_entry_is_refused_by_name(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        evidence.read("x", given)


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="only = 'headlin' is no evidence; did you mean 'headline'"):
        program.main(ResultsOptions(only=("headlin",)))


def test_options_of_a_smoke_run_replace_those_of_the_command():
    given = ["bench", "--settings", "tuned", "--threads", "1", "2", "--rate", "--rounds", "9"]
    replaced = program._replaced(given, ["--threads", "4", "--no-rate"])
    assert replaced == ["bench", "--settings", "tuned", "--rounds", "9", "--threads", "4", "--no-rate"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A checkout of two entries whose commands are stand-ins; returns what was run and the state of the source."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "page.md").write_text("a\n\n<!-- results: sizes -->\nold\n<!-- end -->\n\nb\n", encoding="utf-8")
    entries = {
        "one": Evidence(name="one", command=("first",), module="m", figures={"one.png": "a.png"}),
        "two": Evidence(name="two", command=("second",), module="m", tables={"sizes": "page.md"}),
    }
    state = {"ran": [], "status": {}, "source": {"one": "1", "two": "1"}, "entries": entries}

    def run(arguments, cwd=None, **_):
        if arguments[0] == "git":
            return subprocess.CompletedProcess(arguments, 0, "abc\n" if "rev-parse" in arguments else "", "")
        name, folder = arguments[4], Path(arguments[-1])
        state["ran"].append(name)
        status = state["status"].get(name, 0)
        if not status:
            (folder / "a.png").write_bytes(name.encode())
            (folder / "summary.json").write_text(json.dumps({"size": len(state["ran"])}), encoding="utf-8")
        return subprocess.CompletedProcess(arguments, status)

    for module in (program, made):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(program, "listed", lambda: entries)
    monkeypatch.setattr(program, "TABLES", {"sizes": lambda summary: [["size"], [str(summary["size"])]]})
    monkeypatch.setattr(Evidence, "digest", lambda self, root: state["source"][self.name])
    monkeypatch.setattr(subprocess, "run", run)
    state["options"] = lambda **given: ResultsOptions(out=tmp_path / "runs", **given)
    state["docs"] = docs
    return state


def test_interrupted_run_goes_on_with_what_is_not_finished(tree):
    tree["status"] = {"second": INTERRUPTED}
    with pytest.raises(KeyboardInterrupt):
        program.main(tree["options"]())
    assert (tree["docs"] / "one.png").read_bytes() == b"first"
    tree["status"] = {}
    program.main(tree["options"]())
    assert tree["ran"] == ["first", "second", "second"]
    page = (tree["docs"] / "page.md").read_text(encoding="utf-8")
    assert "<!-- results: sizes -->\n\n| size |\n|---|\n| 3 |\n\n*`otc second`, 0 s; revision abc, 2" in page
    assert page.endswith(".*\n\n<!-- end -->\n\nb\n")
    record = tomllib.loads((tree["docs"] / "evidence.toml").read_text(encoding="utf-8"))
    assert list(record) == ["one", "two"]
    assert (record["one"]["command"], record["one"]["revision"]) == ("otc first", "abc")
    program.main(tree["options"]())
    assert len(tree["ran"]) == 3


def test_changed_source_is_run_again_and_other_entries_are_not(tree):
    program.main(tree["options"]())
    tree["source"]["two"] = "2"
    program.main(tree["options"]())
    assert tree["ran"] == ["first", "second", "second"]
    program.main(tree["options"](only=("one",), again=True))
    assert tree["ran"][3:] == ["first"]


def test_time_of_an_interrupted_run_counts_and_results_of_other_source_are_stated(tree, monkeypatch):
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(program.time, "monotonic", lambda: float(next(clock)))
    tree["status"] = {"second": INTERRUPTED}
    with pytest.raises(KeyboardInterrupt):
        program.main(tree["options"](only=("two",)))
    tree["status"] = {}
    found = program.main(tree["options"](only=("two",)))["two"]
    assert (found["seconds"], "kept" in found) == (60.0, False)
    tree["source"]["two"] = "2"
    found = program.main(tree["options"](only=("two",)))["two"]
    assert found["seconds"] == 30.0
    assert "30 s with results that earlier runs had kept; revision abc" in program.in_words("two", found)


def test_training_does_not_go_on_from_steps_of_other_source(tree):
    tree["entries"]["one"] = Evidence(name="one", command=("train",), module="m", figures={"one.png": "a.png"})
    steps = tree["options"]().out / "one" / "last.safetensors"
    for source, goes_on in (("1", False), ("1", True), ("2", False)):
        tree["source"]["one"] = source
        program.main(tree["options"](only=("one",), again=True))
        assert steps.is_file() == goes_on
        steps.write_bytes(b"steps")


def test_shortened_sweep_need_not_draw_the_figures_of_the_whole_one(tree, monkeypatch):
    monkeypatch.setattr(program, "shortened", lambda source, folder: folder / source.name)
    sweep = Evidence(name="one", command=("sweep", "docs/x.toml"), module="m", figures={"one.png": "map.png"})
    tree["entries"]["one"] = sweep
    assert program.main(tree["options"](only=("one",), quick=True))["one"]["revision"] == "abc"
    with pytest.raises(ValueError, match="failed: one"):
        program.main(tree["options"](only=("one",)))


def test_failed_command_is_named_and_leaves_the_documentation_of_the_others(tree, capsys):
    tree["status"] = {"first": 2}
    with pytest.raises(ValueError, match="failed: one"):
        program.main(tree["options"]())
    assert not (tree["docs"] / "one.png").exists()
    assert "| 2 |" in (tree["docs"] / "page.md").read_text(encoding="utf-8")
    assert "failed with status 2" in capsys.readouterr().out


def test_smoke_run_touches_no_documentation(tree):
    before = {path: path.read_bytes() for path in tree["docs"].rglob("*")}
    program.main(tree["options"](quick=True))
    assert {path: path.read_bytes() for path in tree["docs"].rglob("*")} == before
    assert tree["ran"] == ["first", "second"]


def test_list_runs_nothing_and_names_what_is_not_recorded(tree, capsys):
    program.main(tree["options"](only=("one",)))
    capsys.readouterr()
    program.main(tree["options"](print_list=True))
    lines = capsys.readouterr().out.splitlines()
    assert any("otc first" in line and "abc" in line for line in lines)
    assert any("otc second" in line and "not recorded" in line for line in lines)
    assert tree["ran"] == ["first"]


def test_fill_without_markers_names_those_there_are(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- results: sizes -->\n<!-- end -->\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no markers .* did you mean 'sizes'"):
        pages.fill(page, "size", "x")


def test_digest_of_an_entry_follows_the_module_of_its_function(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "source_digest", lambda *modules, root: "same")
    entry = Evidence(name="x", command=("drift", "--function", "docs/net:scored", "--seed", "1"), module="m")
    (tmp_path / "docs").mkdir()
    module = tmp_path / "docs" / "net.py"
    found = []
    for text in ("a = 1", "a = 1", "a = 2"):
        module.write_text(text, encoding="utf-8")
        found.append(entry.digest(tmp_path))
    assert found[0] == found[1] != found[2]


def test_revision_is_marked_for_changed_sources_and_not_for_what_results_copies(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)

    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    monkeypatch.setattr(made, "ROOT", tmp_path)
    write("optics/core.py", "one")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    plain = made.revision()
    assert "with changes" not in plain
    copied = next(name for name in LISTED["verdict"].figures if name.endswith(".json"))
    write(f"docs/{copied}", "{}")
    write("docs/sweeps/adc_by_photons.png", "figure")
    write("docs/verdict.md", "page")
    assert made.revision() == plain
    write("optics/new.py", "two")
    assert made.revision() == f"{plain}, with changes"


def test_an_entry_needs_those_whose_files_its_command_names_behind_a_label_too():
    command = ("verdict", "--trained", "{results}/one/model", "other={results}/two/model", "third={results}/one/model")
    assert Evidence(name="both", command=command, module="m").needs == ["one", "two"]
    assert LISTED["verdict"].needs == ["train_unscaled"]
    assert LISTED["ablation_prepared"].needs == ["prepare"] and not LISTED["headline"].needs
