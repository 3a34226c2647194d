"""Whether light helps a service: the best machine or pair with light against the best without, and its accuracy."""

import dataclasses
from collections.abc import Mapping, Sequence

from experiments.serving.accuracy import Accuracies
from experiments.serving.model import Range
from experiments.serving.records import LightRecord, range_record
from experiments.serving.rows import ServingRow, best
from experiments.serving.workloads import ServingWorkload


@dataclasses.dataclass(frozen=True, kw_only=True)
class LightVerdict:
    """The best rows within the limits of a workload, with and without light, in tokens/s per kW.

    Attributes:
        title: of the workload.
        light, digital: the two rows; None where nothing is within the limits.
        accuracy: of the row with light, in words.
    """

    title: str
    light: ServingRow | None
    digital: ServingRow | None
    accuracy: str

    @property
    def factor(self) -> Range | None:
        """Tokens/s per kW with light over those without, ranges taken as independent."""
        if self.light is None or self.digital is None:
            return None
        return self.light.tokens_per_s_per_kw / self.digital.tokens_per_s_per_kw

    @property
    def told_apart(self) -> bool:
        """Whether the two ranges do not overlap."""
        if self.light is None or self.digital is None:
            return self.light is not self.digital
        return not self.light.tokens_per_s_per_kw.overlaps(self.digital.tokens_per_s_per_kw)

    def sentence(self) -> str:
        """State the verdict on the workload."""
        if self.light is None or self.digital is None:
            known = self.light or self.digital
            return f"{self.title}: {'nothing' if known is None else f'only {known.name}'} is within the limits"
        verdict = "cannot be told apart"
        if self.told_apart:
            verdict = "light helps" if self.factor is not None and self.factor.nominal > 1 else "light does not help"
        return (
            f"{self.title}: {verdict}, {self.factor} times the tokens/s per kW, {self.light.name} against "
            f"{self.digital.name}, at {self.accuracy}"
        )

    def record(self) -> LightRecord:
        """Return the verdict as summary.json holds it."""
        return {
            "light": None if self.light is None else self.light.record(),
            "digital": None if self.digital is None else self.digital.record(),
            "factor": None if self.factor is None else range_record(self.factor),
            "told_apart": self.told_apart,
            "accuracy": self.accuracy,
            "sentence": self.sentence(),
        }


def light_verdict(workload: ServingWorkload, rows: Sequence[ServingRow], accuracies: Accuracies) -> LightVerdict:
    """Return the verdict on a workload from all its rows."""
    ranked = list(best(rows))
    light = next((row for row in ranked if accuracies.has_light(row)), None)
    return LightVerdict(
        title=workload.title,
        light=light,
        digital=next((row for row in ranked if not accuracies.has_light(row)), None),
        accuracy="" if light is None else accuracies.in_words(light),
    )


def last_line(verdicts: Sequence[LightVerdict], precisions: Mapping[str, str]) -> str:
    """State in one line whether light helps, on each workload.

    Args:
        verdicts: one of each workload.
        precisions: precision in which each system serves.
    """
    known = [verdict for verdict in verdicts if verdict.light is not None and verdict.digital is not None]
    helps = [v.title for v in known if v.told_apart and v.factor is not None and v.factor.nominal > 1]
    used = dict.fromkeys(
        precisions[name]
        for verdict in known
        if verdict.digital is not None
        for name in (verdict.digital.prefill, verdict.digital.decode)
    )
    whole = f"helps on {', '.join(helps)}" if helps else "is not shown to help"
    digital = f"; without light in {', '.join(used)}" if used else ""
    return f"Light {whole}. " + "; ".join(verdict.sentence() for verdict in verdicts) + digital + "."
