"""Options of `otc verdict`."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import models
import optics
from experiments.adapt.methods import parsed
from experiments.adapt.options import AdaptOptions
from experiments.common.options import check_integer, check_power_of_two
from experiments.common.text_options import TextOptions, check_context
from experiments.common.workload import shapes_named
from experiments.verdict.prices import check_changes
from experiments.verdict.report.records import DesignRecord
from experiments.verdict.space import (
    ENCODINGS,
    ON,
    ON_LIGHT,
    PLACES,
    RAILS,
    RANGES,
    Encoding,
    Place,
    Ranges,
    every_head,
)
from optics.presets.scenario import SCENARIOS


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerdictOptions(TextOptions):
    """The best machine for 1 exaOPS that the parts of a year allow, on a model prepared for it."""

    windows: int = 4
    """Windows of the text on which designs are judged; the best are confirmed on as many that follow."""
    curve_windows: int = 24
    """Windows after these on which the curve of each model is measured, by which losses are placed."""
    window_tokens: int = 256
    """Tokens in a window."""
    scenarios: tuple[str, ...] = ("today", "projected_2029", "physical_limit")
    """Scenarios whose parts are put together."""
    limits: tuple[float, ...] = (0.05, 0.02)
    """Losses over 8-bit digital [nats per token] that are accepted; the first is that of the figures."""
    prepared: tuple[str, ...] = ("sinks+fold+rescale+light+ranges", "unscaled=sinks+light+ranges")
    """Steps without training that prepare model and core, as of `otc adapt`; several as LABEL=STEPS, none for no such
    model."""
    trained: tuple[str, ...] = ()
    """Models that `otc train` wrote, folders, several as LABEL=FOLDER, judged beside the others; their drives and light
    are searched here. One of the label of prepared steps was trained from them."""
    trained_method: str = "sinks+light+ranges"
    """Steps on the core for trained models."""
    sizes: tuple[int, ...] = (1024, 2048)
    """Rows of cores that are chosen from, and columns where `columns` has none."""
    columns: tuple[int, ...] = ()
    """Columns that are chosen from, with each of the rows; as many as rows unless given."""
    accumulate: tuple[int, ...] = (1, 4)
    """Row tiles whose charges are integrated before one conversion, that are chosen from."""
    attention: tuple[Place, ...] = PLACES
    """Where attention runs, chosen from digital, half and most (on light for half and for nine tenths of the heads,
    those that lose least by it, each measured alone) and light."""
    masks: tuple[str, ...] = ("",)
    """Technologies of the mask that are chosen from, see `optics.MASK_TECHNOLOGIES`; "" for the numbers of the
    scenario. The best design of projected_2029 is judged with the mask of each technology too."""
    ranges: tuple[Ranges, ...] = ("follow",)
    """Full scale of the ADCs, chosen from follow (set anew for each vector by its norm, which favours the device) and
    fixed (one for each column, found on the text that calibrates, as public devices have it). They cost the same."""
    encodings: tuple[Encoding, ...] = (RAILS, "slots/rails")
    """How the signs of inputs/weights are carried, that are chosen from. The best design of projected_2029 is judged
    with other ranges, with the other inputs and with an offset of the weights too."""
    tiled: bool = False
    """Measure all losses where sums take as many row tiles as those of the model that is billed, on smaller cores whose
    sums have the same ratios of noise. Without it the best designs alone are measured so too."""
    evaluations: int = 40
    """Losses that a search measures, for each scenario and model."""
    search_seed: int = 0
    """Seed of the searches."""
    devices: tuple[int, ...] = (0, 1, 2)
    """Serial numbers of the devices on which designs are judged; searches and preparation are on device 0."""
    confirming_devices: tuple[int, ...] = (3, 4, 5)
    """Serial numbers of those on which the best designs are confirmed."""
    compare: int = 0
    """Seeds on which the search is compared with a random one of equal cost, on projected_2029; 0 for none."""
    set: tuple[str, ...] = ()
    """Constants to change, as of `otc target`. The designs are those of the search at the constants as they are; all
    are priced anew, and those that the change touches are run anew."""
    again: bool = False
    """Search anew with the changed constants of `set`."""
    keys: int = 1
    """Draws of the noise of each window on which designs are judged."""
    calibrate_on: str = "wikipedia_5"
    """Text on which models are prepared and designs are searched."""
    sinks: int = 2
    """First tokens that are digital after a step sinks."""
    search_steps: int = 16
    """Steps of the descent of a step light."""
    shapes: str = "llama-3.1-70b"
    """Model that the machine is to run, by name: its shapes alone are used."""
    draws: int = 4096
    """Draws of all constants, a power of two."""
    sobol_draws: int = 256
    """Draws for the Sobol indices, a power of two."""
    out: Path = Path("runs/verdict")
    """Folder for summary.json, figures, designs, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        for name in (
            "scenarios",
            "limits",
            "sizes",
            "accumulate",
            "attention",
            "masks",
            "ranges",
            "encodings",
            "devices",
            "confirming_devices",
        ):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; at least one is needed")
        for scenario in self.scenarios:
            if scenario not in SCENARIOS:
                raise ValueError(f"scenarios = {scenario} must be among {', '.join(SCENARIOS)}")
        if not all(0 < limit < 10 for limit in self.limits):
            raise ValueError(f"limits = {self.limits} must be above 0 and below 10 nats per token")
        for name in ("sizes", "columns"):
            if any(size < 64 or size > 4096 for size in getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)} must be from 64 to 4096")
        if any(tiles < 1 or tiles > 64 for tiles in self.accumulate):
            raise ValueError(f"accumulate = {self.accumulate} must be from 1 to 64")
        for name, offered in (("attention", PLACES), ("ranges", RANGES), ("encodings", ENCODINGS)):
            for chosen in getattr(self, name):
                if chosen not in offered:
                    raise ValueError(f"{name} = {chosen} must be among {', '.join(offered)}")
        for scenario in self.scenarios:
            check_changes(self.set, scenario, self.scenarios)
        if self.compare and ON not in self.scenarios:
            raise ValueError(f"compare = {self.compare} needs {ON} among the scenarios")
        for name in ("devices", "confirming_devices"):
            for device in getattr(self, name):
                check_integer(name, device, 0, 2**24 - 1)
        # Models are prepared on device 0, and designs searched.
        seen = {0, *self.devices} & set(self.confirming_devices)
        if seen:
            raise ValueError(
                f"confirming_devices = {self.confirming_devices} has {min(seen)}, on which designs are chosen"
            )
        check_integer("evaluations", self.evaluations, 8, 10_000)
        check_integer("compare", self.compare, 0, 100)
        check_integer("keys", self.keys, 1)
        check_integer("curve_windows", self.curve_windows, 1)
        check_integer("sinks", self.sinks, 1, self.window_tokens - 1)
        check_integer("search_steps", self.search_steps, 2)
        for mask in filter(None, self.masks):
            for scenario in self.scenarios:
                optics.mask_constants(mask, scenario)
        for name in ("draws", "sobol_draws"):
            check_power_of_two(name, getattr(self, name))
        models.check_text(self.calibrate_on)
        by_head = [place for place in self.attention if 0 < ON_LIGHT[place] < 1]
        if by_head and not every_head(shapes_named(self.shapes)):
            raise ValueError(
                f"attention = {by_head[0]} leaves some heads of like layers digital, and {self.shapes} has layers that "
                "differ: choose from --attention digital light"
            )
        parsed(list(self.methods.values()), (0,))
        self.adapt.check()
        for folder in self.folders.values():
            check_context(folder, "window_tokens", self.window_tokens)

    def load_all(self) -> tuple[models.Checkpoint, np.ndarray]:
        """Return (the model, token ids of windows): those that judge, as many that confirm, and those of curves."""
        return dataclasses.replace(self, windows=2 * self.windows + self.curve_windows).load()

    def judged_before(self, scenario: str) -> list[DesignRecord]:
        """Designs of a scenario in the summary that `out` has from a run before, where constants are changed."""
        file = self.out / "summary.json"
        if not self.set or self.again or not file.is_file():
            return []
        summary = json.loads(file.read_text(encoding="utf-8"))
        same = (summary.get(name) for name in ("shapes", "tiled", "model"))
        if tuple(same) != (self.shapes, self.tiled, self.model_name):
            return []
        return summary["scenarios"].get(scenario, {}).get("designs", [])

    @property
    def methods(self) -> dict[str, str]:
        """Steps that prepare model and core, by label."""
        labelled = _labelled("prepared", self.prepared)
        return {} if list(labelled.values()) == ["none"] else labelled

    @property
    def folders(self) -> dict[str, Path]:
        """Folders of trained models, by label."""
        return {label: Path(folder) for label, folder in _labelled("trained", self.trained).items()}

    @property
    def adapt(self) -> AdaptOptions:
        """The options of the preparation."""
        return AdaptOptions(
            text=self.text,
            model=self.model,
            stream=self.stream,
            windows=self.windows,
            window_tokens=self.window_tokens,
            seed=self.seed,
            methods=tuple(self.methods.values()) or ("none",),
            trained=tuple(self.folders.values()),
            trained_method=self.trained_method if self.trained else "none",
            sinks=self.sinks,
            search_steps=self.search_steps,
            calibrate_on=self.calibrate_on,
            shapes=self.shapes,
            light=(1.0,),
            out=self.out,
        )


def _labelled(name: str, values: Sequence[str]) -> dict[str, str]:
    """Return values that are written as LABEL=VALUE by label, one without a label by an empty one."""
    found: dict[str, str] = {}
    for value in values:
        label, equals, rest = value.partition("=")
        label, rest = (label, rest) if equals else ("", value)
        if label in found:
            raise ValueError(
                f"{name} has {found[label]} and {rest} of one label: write them as LABEL=VALUE, each with a label of "
                "its own"
            )
        if not re.fullmatch(r"[a-z0-9_-]*", label):
            raise ValueError(f"{name} = {value} has the label {label!r}, which may have a to z, 0 to 9, - and _")
        found[label] = rest
    return found
