"""Generated tables in pages of the documentation, between markers."""

import re
from collections.abc import Sequence
from pathlib import Path

from electronics.part import nearest

Rows = list[list[str]]
"""Cells of a table, the header first."""
BEGIN, END = "<!-- results: {} -->", "<!-- end -->"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a table of Markdown; the first row is the header."""
    header, *others = ("| " + " | ".join(row) + " |" for row in rows)
    # An empty cell has one space, as a person writes it.
    return "\n".join([header, "|" + "---|" * len(rows[0]), *others]).replace("|  |", "| |").replace("|  |", "| |")


def names(page: Path) -> list[str]:
    """Return the names of the generated tables of a page."""
    begin = BEGIN.format(r"(\w+)")
    return re.findall(f"^{begin}$", page.read_text(encoding="utf-8"), re.MULTILINE)


def fill(page: Path, name: str, text: str) -> None:
    """Put a text between the markers of a name.

    Args:
        page: the page.
        name: of the table.
        text: of the table.

    Raises:
        ValueError: if the page has no such markers. The message names those that it has.
    """
    old = page.read_text(encoding="utf-8")
    begin = BEGIN.format(name)
    pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(END), re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{page} has no markers {begin} and {END}{nearest(name, names(page))}")
    new = pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{END}", old, count=1)
    page.write_text(new, encoding="utf-8")
