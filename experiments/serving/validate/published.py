"""Published results that the model is held against, one row each, with what each may be used for."""

import csv
import dataclasses
from importlib.resources import files
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One published result.

    Attributes:
        group: series that it belongs to.
        system, precision, software: names as `predict` takes them; `model` a shape, by the name of its config.
        chips, copies: chips of one copy of the model, and copies of it.
        batch: sequences at once of one copy; None: undisclosed, at most load.
        prompt, output: mean tokens; `prompt_mark` says how sure they are.
        tokens_per_s: output tokens/s of all copies; None where only watts are published.
        watts: of all copies; `scope` says of what: "chips", or "wall" for all between plug and chip.
        mark: how sure the result is, as in electronics.constants.
        use: "fit", "test", or "apart" for a result that is not of this model: speculative decoding, tuned for power,
            bound by a latency limit, a target, or the very row from which an assumption was drawn.
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
    use: Literal["fit", "test", "apart"]
    note: str
    source: str

    @property
    def j_per_token(self) -> float | None:
        """J per output token, where both are published."""
        return self.watts / self.tokens_per_s if self.watts and self.tokens_per_s else None

    @property
    def kin(self) -> tuple[str, str, str]:
        """Rows of one group, system and model: they are held out together."""
        return self.group, self.system, self.model


def _row(cells: dict[str, str]) -> Published:
    whole = {name: int(cells[name]) for name in ("chips", "copies", "prompt", "output")}
    batch = int(cells["batch"]) if cells["batch"] else None
    real = {name: float(cells[name]) if cells[name] else None for name in ("tokens_per_s", "watts")}
    return Published(**cells | whole | real | {"batch": batch})


def _read() -> tuple[Published, ...]:
    text = (files("experiments.serving.validate") / "published.csv").read_text(encoding="utf-8")
    return tuple(_row(cells) for cells in csv.DictReader(text.splitlines()))


PUBLISHED = _read()
