"""Accuracy of optical servers: recorded for presets, or read from a summary of another program.

That is `otc headline`, `target`, `adapt` or `verdict`.
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.common.overrides import OWN
from experiments.serving.optical import OpticalSystem
from experiments.serving.records import AccuracyRecord
from experiments.serving.rows import AnyServer, ServingRow, precision_of
from optics.presets.presets import DESIGN_BITS

NOT_MEASURED = "accuracy not measured"
_EXPECTED = "a summary.json of otc headline, target, adapt or verdict"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Loss of a language model on a core over the same model in float32 [nats/token].

    Attributes:
        delta_nll, delta_nll_stderr: mean over windows, and its standard error where there are several.
        kl: Kullback-Leibler divergence.
        model: the model that was run.
        source: the run.
        effective_bits: bits that the light was sized for; None where the core says itself how much it has.
        attention: where attention ran.
    """

    delta_nll: float
    delta_nll_stderr: float | None
    kl: float
    model: str
    source: str
    effective_bits: float | None = None
    attention: str = "digital"

    def served_on(self, attention: str) -> "Accuracy":
        """Return the accuracy of a server whose attention may run elsewhere, with that stated in its source."""
        if (attention == "digital") == (self.attention == "digital"):
            return self
        ran, served = ("on light", "digital units") if attention == "digital" else ("digital", "light")
        return dataclasses.replace(self, source=f"{self.source}; its attention was {ran}, and is served on {served}")

    def __str__(self) -> str:
        error = "" if self.delta_nll_stderr is None else f" ± {self.delta_nll_stderr:.3f}"
        return f"{self.delta_nll:.3f}{error}"

    def record(self) -> AccuracyRecord:
        """Return it as summary.json holds it."""
        return {
            "delta_nll": self.delta_nll,
            "delta_nll_stderr": self.delta_nll_stderr,
            "kl": self.kl,
            "model": self.model,
            "source": self.source,
        }


def _recorded() -> dict[str, Accuracy]:
    text = (files("experiments.serving") / "accuracy.toml").read_text(encoding="utf-8")
    return {name: Accuracy(**table) for name, table in tomllib.loads(text).items()}


RECORDED = _recorded()
"""Accuracies of the presets by name."""


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """Accuracies by system.

    Attributes:
        by_system: of optical systems; it lacks those that nobody measured.
        optical: names of the systems that compute with light.
        precisions: precision in which each system serves.
    """

    by_system: Mapping[str, Accuracy]
    optical: frozenset[str]
    precisions: Mapping[str, str]

    def of_row(self, row: ServingRow) -> str:
        """Return delta NLL [nats/token] of each machine of a row that computes with light; that of digital formats was
        not measured."""
        names = [name for name in dict.fromkeys((row.prefill, row.decode)) if name in self.optical]
        return " + ".join(str(self.by_system.get(name, NOT_MEASURED)) for name in names) or NOT_MEASURED

    def has_light(self, row: ServingRow) -> bool:
        """Whether a machine of a row computes with light."""
        return bool(self.optical & {row.prefill, row.decode})

    def in_words(self, row: ServingRow) -> str:
        """State the accuracy of a row with light, and the model that it was measured on."""
        name = next(name for name in (row.prefill, row.decode) if name in self.optical)
        found = self.by_system.get(name)
        return NOT_MEASURED if found is None else f"a delta NLL of {found} nats/token ({found.model})"


def accuracies(systems: Sequence[AnyServer], effective_bits: float, summaries: Sequence[Path]) -> Accuracies:
    """Return the accuracies of systems: those of summaries, else those recorded for presets.

    Args:
        systems: all systems that are compared.
        effective_bits: bits that the light of the presets is sized for.
        summaries: files of `otc headline`, `target`, `adapt` or `verdict`.

    Raises:
        ValueError: for a file that is no such summary, one without a core that is compared, and one of a preset with
            other light. The message names the file.
        OSError: for a file that cannot be read.
    """
    servers = [system for system in systems if isinstance(system, OpticalSystem)]
    found = {
        server.name: RECORDED[server.preset]
        for server in servers
        if server.preset in RECORDED
        and RECORDED[server.preset].effective_bits == effective_bits
        and server.attention == RECORDED[server.preset].attention
    }
    for file in summaries:
        measured = _read(file)
        named = {
            server.name: each.served_on(server.attention)
            for server in servers
            if (each := _match(server, servers, measured)) is not None
        }
        if not named:
            raise ValueError(
                f"accuracy = {file}: it has {', '.join(measured)}, and none of the optical servers that are compared: "
                f"{', '.join(server.name for server in servers) or 'none'}"
            )
        for server in servers:
            bits = named[server.name].effective_bits if server.preset and server.name in named else None
            if bits is not None and bits != effective_bits:
                raise ValueError(
                    f"accuracy = {file}: {server.preset} was run with light of {bits:g} effective bits, and is "
                    f"compared with effective_bits = {effective_bits:g}"
                )
        found |= named
    return Accuracies(
        by_system=found,
        optical=frozenset(system.name for system in systems if system.optical),
        precisions={system.name: precision_of(system) for system in systems},
    )


def _match(
    server: OpticalSystem, servers: Sequence[OpticalSystem], measured: Mapping[str, Accuracy]
) -> Accuracy | None:
    """The accuracy of a server: by the name of its preset or file, or as the one core of the user's own."""
    own = [each for each in servers if each.file is not None]
    names = [server.preset] if server.file is None else [str(server.file), server.file.name]
    if server.file is not None and len(own) == 1:
        names.append(OWN)
    return next((measured[name] for name in names if name in measured), None)


def _read(file: Path) -> dict[str, Accuracy]:
    """Accuracies in a summary, by the names that it gives to its cores."""
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        found = _of_summary(summary, file)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"accuracy = {file} must be {_EXPECTED}: it lacks {error}") from None
    except ValueError as error:
        raise ValueError(f"accuracy = {file} must be {_EXPECTED}: {error}") from None
    if not found:
        raise ValueError(f"accuracy = {file} has no core that computes with light")
    return found


def _of_summary(summary: Any, file: Path) -> dict[str, Accuracy]:
    if not isinstance(summary, dict) or not {"rows", "scenarios"} & set(summary):
        raise ValueError("it has neither rows nor scenarios")
    run = {
        "model": str(summary["model"]),
        "source": f"{file}, {summary['windows']} windows of {summary['window_tokens']} tokens of {summary['text']}",
        "attention": summary.get("attention", "digital"),
    }
    effective_bits = summary.get("effective_bits")
    if "confirming_devices" in summary:
        return _of_verdict(summary, file)
    if "scenarios" in summary:
        losses = dict(summary["scenarios"])
    elif "best" in summary:
        row = next(row for row in summary["rows"] if row["name"] == summary["best"])
        # A method may set the core by site: the loss is then that of the design that was saved, not that of the core.
        by_site = any(row.get(name) for name in ("sinks", "light_by_site", "gain_by_site", "loading_by_site"))
        core = summary.get("machine", f"{summary['core']} set by {row['name']}") if by_site else summary["core"]
        losses = {core: min(row["points"], key=lambda point: abs(point["light"] - 1))}
        run["source"] = f"{run['source']}, prepared by {row['name']}"
        effective_bits = DESIGN_BITS
    else:
        losses = {row["name"]: row for row in summary["rows"] if row["optical"]}
    return {
        name: Accuracy(
            delta_nll=float(loss["delta_nll"]),
            delta_nll_stderr=loss["delta_nll_stderr"],
            kl=float(loss["kl"]),
            effective_bits=effective_bits,
            **run,
        )
        for name, loss in losses.items()
    }


def _of_verdict(summary: Mapping[str, Any], file: Path) -> dict[str, Accuracy]:
    """Accuracies of the designs that `otc verdict` saved, by the names of their files.

    They are those on windows and devices that neither the choice of a design nor its light has seen.
    """
    found: dict[str, Accuracy] = {}
    devices = ", ".join(map(str, summary["confirming_devices"]))
    for record in summary["scenarios"].values():
        for judged in record["judged"]:
            loss = judged["confirmed"]
            found[Path(judged["file"]).name] = Accuracy(
                delta_nll=float(loss["delta_nll"]),
                delta_nll_stderr=loss.get("delta_nll_stderr"),
                kl=float(loss["kl"]),
                model=f"{summary['model']}, {loss['variant']}",
                source=f"{file}, {summary['windows']} windows of {summary['window_tokens']} tokens of "
                f"{summary['text']} and devices {devices}, which the search has not seen",
                attention=judged["place"],
            )
    return found
