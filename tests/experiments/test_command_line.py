"""The console script: in any folder, interrupted at any time, and one line for each input that cannot be meant."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import optics
from electronics.validation import without_plausibility
from experiments import commands
from experiments.sweeps import program as sweep
from experiments.sweeps.definition import toml_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts `otc` as pip installs it, in a folder that has packages of its own by our names."""
    with (ROOT / "pyproject.toml").open("rb") as project:
        module, _, function = tomllib.load(project)["project"]["scripts"]["otc"].partition(":")
    path = tmp_path / "bin" / "otc"
    path.parent.mkdir()
    path.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n", encoding="utf-8")
    here = tmp_path / "here"
    for package in ("models", "optics", "electronics"):
        (here / package).mkdir(parents=True)
        (here / package / "__init__.py").write_text("raise SystemError('a stranger')", encoding="utf-8")

    def start(*arguments: str, before: Path | None = None, ignoring: bool = False) -> subprocess.Popen:
        paths = [str(each) for each in (before, ROOT) if each is not None]
        # Whether interruptions are ignored is handed on, and a shell's background jobs ignore them.
        usual = signal.signal(signal.SIGINT, signal.SIG_IGN if ignoring else signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, str(path), *arguments],
                cwd=here,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, usual)

    return start


def test_the_script_runs_in_a_folder_with_packages_of_our_names(script, tmp_path):
    """It lists the programs, and refuses a slip in one line."""
    process = script("bill", "--core", "none.toml")
    out, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    assert error.strip().splitlines() == ["error: [Errno 2] No such file or directory: 'none.toml'"]
    assert not out


STUBS = {
    # Imported by the programs: an interruption while they load.
    "while modules load": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(30)\n",
    # A module that is interrupted while it loads may well say something else.
    "as an error of its own": """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    import time
    time.sleep(30)
except KeyboardInterrupt:
    raise ImportError("numpy.core.multiarray failed to import")
""",
    # What a destructor or a hook of the garbage collector raises, Python prints and forgets.
    "where Python swallows it": """
import os, signal, time
class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
Swallows()
time.sleep(30)
""",
}


@pytest.mark.parametrize("moment", STUBS)
def test_an_interruption_ends_the_program_with_one_line(script, tmp_path, moment):
    """A stand-in for tyro sends the signal at the moment in question."""
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "tyro.py").write_text(STUBS[moment], encoding="utf-8")
    began = time.monotonic()
    process = script("bill", before=tmp_path / "before")
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.split() == ["stopped"]
    assert time.monotonic() - began < 25


def test_an_interruption_where_it_is_ignored_stays_ignored(script, tmp_path):
    """As behind nohup: the program goes on to its usual end."""
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "tyro.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise SystemExit(7)\n", encoding="utf-8"
    )
    process = script("bill", before=tmp_path / "before", ignoring=True)
    process.communicate(timeout=60)
    assert process.returncode == 7


def interrupted(options):
    raise KeyboardInterrupt


def interrupted_in_a_callback(options):
    """As Python that XLA calls back: an error of XLA's own, which names what it was."""
    import jax

    def stop(x):
        raise KeyboardInterrupt

    jax.jit(lambda x: jax.pure_callback(stop, jax.ShapeDtypeStruct((), "float32"), x))(1.0).block_until_ready()


@pytest.mark.parametrize("main", [interrupted, interrupted_in_a_callback])
def test_an_interruption_inside_a_program_is_one_line(monkeypatch, capsys, main):
    monkeypatch.setitem(commands.PROGRAMS, "sweep", (sweep.SweepOptions, main))
    assert commands.run(["sweep", "any.toml"]) == 130
    assert capsys.readouterr().err.strip() == "stopped; the same command goes on where this one was"


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), OverflowError("int too large\nto convert")])
def test_what_python_cannot_hold_is_one_line(monkeypatch, capsys, error):
    def main(options):
        raise error

    monkeypatch.setitem(commands.PROGRAMS, "sweep", (sweep.SweepOptions, main))
    assert commands.run(["sweep", "any.toml"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and len(line) > len("error: ")


@pytest.mark.filterwarnings("always::electronics.PlausibilityWarning")
def test_a_plausibility_warning_is_one_line(tmp_path, capsys):
    with without_plausibility():
        optics.serialise.save(optics.today().replace({"digital.wire_length": 5.0}), tmp_path / "core.toml")
    out = tmp_path / "out"
    shapes = "llama-3.1-8b"
    assert commands.run(["bill", "--core", str(tmp_path / "core.toml"), "--shapes", shapes, "--out", str(out)]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert (
        "DigitalBackend.wire_length = 5 m is outside the plausible range, at most 1 m; did you mean 0.005 m (5 mm)"
        in warnings[0]
    )


def test_run_with_a_former_name_warns_and_runs_the_program_of_the_present_one(capsys):
    assert commands.run(["attribute", "--windows", "0"]) == 2
    warning, error = capsys.readouterr().err.strip().splitlines()
    assert warning == "warning: otc attribute is now otc ablation"
    assert error.startswith("error: windows = 0 must be at least 1")


HUGE = str(10**12)
REFUSED = [
    (["headline", "--seed", "99999999999999999999"], "seed = 99999999999999999999 must be a whole number, at most"),
    (["headline", "--seed", "-1"], "seed = -1 must be a whole number, at least 0"),
    (["headline", "--seed", str(2**32)], "seed = 4294967296 must be a whole number, at most 4294967295"),
    (["headline", "--model", "FOLDER"], "is a folder without config.json, so it is no Hugging Face checkpoint"),
    (["headline", "--model", "WITH_MODEL"], "it holds small.gguf, which can be named itself"),
    (["headline", "--model", "none.gguf"], "there is no file none.gguf"),
    (["headline", "--model", "TEXT"], "is not a GGUF file: it begins with b'Some'"),
    (["headline", "--text", "FOLDER"], "is a folder; a UTF-8 text file is expected"),
    (["headline", "--text", "owt_6"], "there is no file owt_6"),
    (["headline", "--out", "TEXT"], "must be a folder, and is a file"),
    (["headline", "--out", "TEXT/below"], "is a file"),
    (["headline", "--windows", HUGE], "windows = 1000000000000 must be a whole number, at most"),
    (["headline", "--window-tokens", HUGE], "window_tokens = 1000000000000 must be a whole number, at most"),
    (["headline", "--presets", "tomorrow"], "no preset 'tomorrow'"),
    (["headline", "--effective-bits", "70"], "effective bits = 70.0 must be between 1 and 12"),
    (["gain", "--tile", HUGE], "rows = 1000000000000 must be a whole number <= 1048576"),
    (["gain", "--gains", "1e9"], "ADC.gain = 1000000000.0 1 is out of range"),
    (["ablation", "--core", "FOLDER"], "a core's file ends in .toml or .json"),
    (["target", "--draws", str(2**60)], "draws = 1152921504606846976 must be a whole number, at most"),
    (["target", "--sobol-draws", str(2**60)], "sobol_draws = 1152921504606846976 must be a whole number, at most"),
    (["target", "--keys", HUGE], "keys = 1000000000000 must be a whole number, at most"),
    (["target", "--rows", HUGE], "rows = 1000000000000 must be a whole number, at most"),
    (["target", "--grid", HUGE], "grid = 1000000000000 must be a whole number, at most"),
    (["target", "--set", "source.wavelength=1550"], "did you mean 1.55e-06 m (1550 nm)?"),
    (["target", "--set", "clock=1e400"], "clock"),
    (["target", "--map", "tomorrow"], "map = 'tomorrow' is not judged"),
    (["width", "--draws", HUGE], "draws = 1000000000000 must be a whole number, at most"),
    (["width", "--widths", "64", "128", HUGE], "between 2 and 65536"),
    (["bench", "--rounds", HUGE], "rounds = 1000000000000 must be a whole number, at most"),
    (["bench", "--vectors", HUGE], "sizes = 1000000000000 must be a whole number, at most"),
    (["bill", "--batch", HUGE], "batch = 1000000000000 must be a whole number, at most"),
    (["bill", "--context", HUGE], "context = 1000000000000 is more than the model's"),
    (["bill", "--mask", "dmdd"], "no mask technology 'dmdd'; did you mean 'dmd'?"),
    (["bill", "--preset", "lumai_nova", "--mask", "dmd"], "takes the light of a scenario"),
    (["target", "--mask", "dmd"], "'dmd' is not offered in physical_limit"),
    (["bill", "--out", "TEXT"], "must be a folder, and is a file"),
    (["serve", "--batches", HUGE], "batches = 1000000000000 must be a whole number, at most"),
    (["serve", "--model", "DEEP_JSON"], "is not a JSON file"),
    (["serve", "--model", "DIGITS_JSON"], "num_hidden_layers is an integer of"),
    (["sweep", "FOLDER"], "is a folder; a sweep is a .toml file"),
    (["sweep", "none.toml"], "none.toml"),
    (["sweep", "SWEEP", "--width", HUGE], "width = 1000000000000 must be at most"),
    (["sweep", "SWEEP", "--per-call", "0"], "per_call = 0 must be at least 1"),
    (["sweep", "SWEEP", "--confidence", "68"], "confidence = 68.0 must be between 0 and 1"),
]


@pytest.fixture
def places(tmp_path) -> dict[str, str]:
    """Files and folders that the table names."""
    (tmp_path / "with").mkdir()
    (tmp_path / "with" / "small.gguf").write_bytes(b"GGUF")
    shape = '{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, '
    texts = {
        "TEXT": "Some text.",
        "DEEP_JSON": "[" * 100_000,
        "DIGITS_JSON": f'{shape}"vocab_size": 100, "num_hidden_layers": {10**400}}}',
        "SWEEP": "core = 'today'\naxes.adc.enob = [6, 7]\non.kind = 'product'\nmetrics = ['snr_db']",
    }
    found = {"FOLDER": str(tmp_path), "WITH_MODEL": str(tmp_path / "with")}
    for name, text in texts.items():
        suffix = ".json" if "JSON" in name else ".toml"
        (tmp_path / f"{name.lower()}{suffix}").write_text(text, encoding="utf-8")
        found[name] = str(tmp_path / f"{name.lower()}{suffix}")
    return found


@pytest.mark.parametrize(
    ("arguments", "words"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_an_input_that_cannot_be_meant_is_one_line_at_once(arguments, words, places, capsys, monkeypatch, tmp_path):
    """Before the model is loaded, in one line, and with nothing written."""
    monkeypatch.setattr("models.load", lambda *given, **more: pytest.fail("the model was loaded"))
    monkeypatch.chdir(tmp_path)
    given = [f"{places[a.split('/')[0]]}{'/below' * ('/' in a)}" if a.split("/")[0] in places else a for a in arguments]
    before = sorted(tmp_path.rglob("*"))
    assert commands.run(given) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert words in lines[0] and len(lines[0]) < 400
    assert sorted(tmp_path.rglob("*")) == before


SWEEPS = {
    "an empty file": ("", "nothing is varied: give at least one axis in [axes], [[zip]] or [sobol], or a core"),
    "a comment": ("# nothing\n", "nothing is varied"),
    "keys alone": ("keys = 3", "nothing is varied"),
    "deep nesting": ("a = " + "[" * 5000 + "]" * 5000, "nested far deeper than a sweep's tables"),
    "digits": ("keys = " + "1" * 5000, "integer"),
    "a 400-digit key": (f"core = 'today'\nkeys = {10**400}", "keys = an integer of 1329 bits must be a whole number"),
    "a 400-digit value": (f"axes.adc.enob = [{10**400}]", "an integer of 1329 bits must be a finite number"),
    "a 400-digit bound": (
        f"axes.adc.enob = {{ linear = [5, {10**400}], points = 2 }}",
        "bound an integer of 1329 bits must be a finite number",
    ),
    "a 400-digit setting": (f"core = 'today'\nset.adc.enob = {10**400}", "an integer of 1329 bits must be a finite"),
    "a list of settings": ("core = 'today'\nset.adc.enob = [7, 8]", "[7, 8] must be a number or a word"),
    "a billion points": ("axes.adc.enob = { linear = [5, 6], points = 1000000000 }", "at most 1000000"),
    "a billion crossed": (
        "axes.adc.enob = { linear = [5, 6], points = 40000 }\naxes.clock = { log = [1e8, 1e9], points = 40000 }",
        "points of all axes together = 1600000000 must be a whole number, at most 1000000",
    ),
    "a billion draws": ("sobol = { points = 1073741824, axes.adc.enob.linear = [5, 6] }", "at most 1000000"),
    "a seed of sobol": ("sobol = { points = 4, seed = -1, axes.adc.enob.linear = [5, 6] }", "sobol.seed = -1"),
    "a trillion keys": ("core = 'today'\nkeys = 1000000000000", "keys = 1000000000000 must be a whole number, at most"),
    "many trials": (
        "core = 'today'\nkeys = 1000000\naxes.adc.enob = { linear = [5, 6], points = 100 }",
        "trials, points times keys, = 100000000 must be a whole number, at most",
    ),
    "a seed": ("core = 'today'\nseed = 4294967296", "seed = 4294967296 must be a whole number, at most 4294967295"),
    "a text that is none": ("core = 'today'\non.text = 5", "on.text = 5 must be a word in quotes"),
    "a model that is a folder": ("core = 'today'\non.model = '/'", "/ is a folder without config.json"),
    "a product of 2^60": (
        "core = 'today'\non = { kind = 'product', rows = 1048576, columns = 1048576 }",
        "make arrays of more than 4.29497e+09 numbers",
    ),
    "windows": ("core = 'today'\non.windows = 1000000000", "on.windows = 1000000000 must be a whole number, at most"),
    "nanometres": ("axes.source.wavelength = [1550]", "did you mean 1.55e-06 m (1550 nm)?"),
    "no light": (
        "axes.'light.photons_per_mac' = [0]",
        "at light.photons_per_mac = 0: photons = 0.0 must be a finite number above 0",
    ),
    "too many bits": (
        "axes.'light.effective_bits' = [70]",
        "at light.effective_bits = 70: effective_bits = 70.0 must be between 0 and 24",
    ),
}


@pytest.mark.parametrize("case", SWEEPS)
def test_a_sweep_that_cannot_be_meant_is_refused_before_it_begins(case, tmp_path):
    text, words = SWEEPS[case]
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        toml_file.load(path)
    assert words in str(refused.value) and "wrong.toml: " in str(refused.value)
    assert len(str(refused.value)) < 300 + len(str(path))


def test_a_single_point_of_a_named_core_is_a_sweep(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text("core = 'today'\non.kind = 'product'\nmetrics = ['snr_db']", encoding="utf-8")
    assert toml_file.load(path).points == 1
