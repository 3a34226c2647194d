"""Published results that the model is compared with, one row each."""

import csv
import dataclasses
from importlib.resources import files
from typing import Literal

Use = Literal["fit", "test", "apart"]
USES: tuple[Use, ...] = ("fit", "test", "apart")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One published result.

    Attributes:
        group: series of results that it belongs to.
        system, precision, software: names as `predict` takes them.
        model: name of a config in `models.CONFIGS`.
        chips, copies: chips of one copy of the model, and copies of it.
        batch: sequences at once per copy; None: not published, the largest that fits.
        prompt, output: mean tokens; `prompt_mark` is their provenance.
        tokens_per_s: output tokens/s of all copies; None where only watts are published.
        watts: power of all copies, of the chips or at the wall as `scope` states.
        mark: provenance of the result, as in `electronics.constants`.
        use: "fit", "test", or "apart" for a result outside the model: speculative decoding, tuned for power, bound by
            a latency limit, a target, or the source of an assumption.
    """

    group: str
    system: str
    model: str
    precision: str
    software: str
    chips: int
    copies: int
    batch: int | None
    prompt: int
    output: int
    prompt_mark: str
    tokens_per_s: float | None
    watts: float | None
    scope: str
    mark: str
    use: Use
    note: str
    source: str

    @property
    def j_per_token(self) -> float | None:
        """J per output token, where both are published."""
        return self.watts / self.tokens_per_s if self.watts and self.tokens_per_s else None

    @property
    def held_out_with(self) -> tuple[str, str, str]:
        """Group, system and model: rows that agree in them are held out together."""
        return self.group, self.system, self.model


def _row(cells: dict[str, str]) -> Published:
    return Published(
        group=cells["group"],
        system=cells["system"],
        model=cells["model"],
        precision=cells["precision"],
        software=cells["software"],
        chips=int(cells["chips"]),
        copies=int(cells["copies"]),
        batch=int(cells["batch"]) if cells["batch"] else None,
        prompt=int(cells["prompt"]),
        output=int(cells["output"]),
        prompt_mark=cells["prompt_mark"],
        tokens_per_s=float(cells["tokens_per_s"]) if cells["tokens_per_s"] else None,
        watts=float(cells["watts"]) if cells["watts"] else None,
        scope=cells["scope"],
        mark=cells["mark"],
        use=_use(cells["use"]),
        note=cells["note"],
        source=cells["source"],
    )


def _use(text: str) -> Use:
    if text not in USES:
        raise ValueError(f"published.csv: use = {text!r} must be one of {', '.join(USES)}")
    return USES[USES.index(text)]


def _read() -> tuple[Published, ...]:
    text = (files("experiments.serving.validate") / "published.csv").read_text(encoding="utf-8")
    return tuple(_row(cells) for cells in csv.DictReader(text.splitlines()))


PUBLISHED = _read()
