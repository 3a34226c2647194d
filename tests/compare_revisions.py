"""Compare what the programs give at another revision with what they give in this tree, to the last bit.

python tests/compare_revisions.py REVISION [--only NAME ...] [--folder FOLDER]

Run it before and after a change that must not move a result, such as a move of files. The other revision is checked
out into a folder of its own; both trees run with the same interpreter and the same libraries. Every number of each
summary.json and every row of each sweep is compared; versions, revisions, paths and times are not. The exit status is
1 where anything differs. It takes some ten minutes on two cores.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRODUCT_SWEEP = """
core = "projected_2029"
metrics = ["snr_db", "enob_full_scale", "fj_per_mac", "photons_per_mac"]
keys = 1

[on]
kind = "product"
rows = 96
columns = 48
vectors = 16

[set]
rows = 64
columns = 32

[axes]
adc.enob = { linear = [5, 8], points = 4 }
"light.photons_per_mac" = { log = [300, 1e5], points = 4 }
"""
TEXT_SWEEP = """
core = "today"
metrics = ["kl", "delta_nll", "fj_per_mac"]
keys = 1

[on]
kind = "text"
windows = 1
window_tokens = 16

[axes]
source.rin = { linear = [-150, -120], points = 4 }
adc.enob = { linear = [5, 8], points = 4 }
"""
PROGRAMS = {
    "bill": ["bill"],
    "serve": ["serve"],
    "headline": ["headline", "--windows", "1", "--light"],
    "width": ["width", "--windows", "1", "--window-tokens", "16", "--widths", "64", "128", "256", "--draws", "1"],
    "sweep_product": ["sweep", "product.toml", "--no-figures"],
    "sweep_text": ["sweep", "text.toml", "--no-figures"],
}
# Keys of a summary that say when, where and with what it was made.
CIRCUMSTANCES = (
    "versions",
    "git",
    "revision",
    "sessions",
    "session",
    "seconds",
    "peak_bytes_of_this_process",
    "out",
    "folder",
    "code",
    "source",
)


def run(tree: Path, name: str, folder: Path) -> Path:
    """Run one program of a tree and return the folder of its results."""
    out = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "product.toml").write_text(PRODUCT_SWEEP, encoding="utf-8")
    (folder / "text.toml").write_text(TEXT_SWEEP, encoding="utf-8")
    command = [sys.executable, "-m", "experiments", *PROGRAMS[name], "--out", str(out)]
    # An editable installation names this tree, so the tree in question comes first.
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed in {tree}:\n{done.stderr[-2000:]}")
    return out


def numbers(out: Path) -> Iterator[tuple[str, Any]]:
    """Every value of summary.json by its path, and every row of a sweep."""
    summary = out / "summary.json"
    if summary.exists():
        yield from flat(json.loads(summary.read_text(encoding="utf-8")), "")
    # Other programs cache their results under that name, by digest of the code.
    store = out / "results.sqlite"
    if store.exists() and out.name.startswith("sweep"):
        with sqlite3.connect(store) as database:
            for row in database.execute("SELECT * FROM results ORDER BY point, key, sample"):
                yield f"results/{row[:3]}", row[3:]
        database.close()


def flat(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts and lists by path, circumstances left out."""
    if isinstance(tree, dict):
        for key, inner in tree.items():
            if key not in CIRCUMSTANCES:
                yield from flat(inner, f"{path}/{key}")
    elif isinstance(tree, list):
        for number, inner in enumerate(tree):
            yield from flat(inner, f"{path}/{number}")
    else:
        yield path, tree


def differences(before: Path, after: Path) -> list[str]:
    """The values that differ between two folders of results, one line each."""
    was, now = dict(numbers(before)), dict(numbers(after))
    return [
        f"{path}: {was.get(path, 'absent')!r} -> {now.get(path, 'absent')!r}"
        for path in dict.fromkeys([*was, *now])
        if was.get(path, "absent") != now.get(path, "absent")
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--folder", type=Path, default=None, help="where both runs keep their results")
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="compare-"))).resolve()
    tree = folder / "tree"
    if not tree.exists():
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(tree), options.revision], cwd=ROOT, check=True
        )
    worst = 0
    for name in options.only:
        before = folder / "before" / name
        if not before.exists():
            before = run(tree, name, folder / "before")
        found = differences(before, run(ROOT, name, folder / "after"))
        count = len(dict(numbers(before)))
        print(f"{name}: {count} values, {len(found)} differ", flush=True)
        for line in found[:20]:
            print(f"  {line}")
        worst = max(worst, int(bool(found) or not count))
    subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=False)
    return worst


if __name__ == "__main__":
    sys.exit(main())
