"""Texts that several machines write at once, as lines that stand below each other."""

from collections.abc import Mapping, Sequence

WIDTH = 80


class Lines:
    """Cuts the texts of several machines into blocks of one line each; the lines of a block hold as many tokens.

    Args:
        names: of the machines, from top to bottom.
        width: of a line, the name included.
    """

    def __init__(self, names: Sequence[str], width: int = WIDTH):
        self._label = max(map(len, names))
        self._width = max(width - self._label - 3, 1)
        self._texts = dict.fromkeys(names, "")
        self._shown = dict.fromkeys(names, 0)

    def update(self, texts: Mapping[str, str]) -> list[str]:
        """Take the whole texts after one more token, and return the lines that are full before it.

        An unfinished character at the end of a text is not shown yet.
        """
        new = {name: _in_one_line(text) for name, text in texts.items()}
        lines = self.flush() if any(len(text) - self._shown[name] > self._width for name, text in new.items()) else []
        self._texts = new
        while any(len(text) - self._shown[name] > self._width for name, text in new.items()):
            lines += self._block()
        return lines

    def flush(self) -> list[str]:
        """Return the lines that are left, full or not."""
        return self._block() if any(len(text) > self._shown[name] for name, text in self._texts.items()) else []

    def _block(self) -> list[str]:
        lines = []
        for name, text in self._texts.items():
            part = text[self._shown[name] : self._shown[name] + self._width]
            self._shown[name] += len(part)
            if part:
                lines.append(f"{name:<{self._label}} │ {part}".rstrip())
        return [*lines, ""]


def _in_one_line(text: str) -> str:
    return text.rstrip("\ufffd").replace("\r", "").replace("\n", "↵").replace("\t", " ")
