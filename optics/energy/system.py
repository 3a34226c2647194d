"""How many cores a rate takes, and what surrounds them: resident weights, passes, converters, watts."""

from collections.abc import Sequence
from typing import NamedTuple

from electronics.part import Number
from optics import checks
from optics.core.by_site import CoresBySite, cores_by_name
from optics.core.tensor_core import TensorCore
from optics.energy.bill import EXAOPS, Bill


class System(NamedTuple):
    """Cores that together do a workload at `ops` operations per second, 1 MAC = 2 operations.

    cores: how many, reloads and calibrations included; utilisation: what they multiply, as a share of what they could
    if every tile were full and never reloaded; resident_weights: what their masks hold; passes: how often the masks
    are rewritten to hold all weights of the model once, 1 and less where they hold it; sources, converters: lasers,
    and ADCs, in all; watts: W by component at the plug; loads_per_second: tiles of weights written.
    """

    ops: Number
    cores: Number
    utilisation: Number
    resident_weights: Number
    passes: Number
    sources: Number
    converters: Number
    watts: dict[str, Number]
    loads_per_second: Number

    @property
    def total_watts(self) -> Number:
        """Power at the plug [W]."""
        return sum(self.watts.values())


def system(core: TensorCore | CoresBySite, bill: Bill, *, weights: float, ops: Number = EXAOPS) -> System:
    """The cores behind a bill at `ops` operations per second, for a model with `weights` weights on masks.

    Where weights stay for many vectors every core holds rows x columns of them, so that all hold ops / (2 f), whatever
    the size of a core: a product takes rows x columns x symbol time of one. Cores that wait for a load count too: where
    `passes` comes out below 1 they could hold the model, and the reloads of the bill need not be. Of a design there are
    as many of each core as its own sites take.

    Raises TypeError for a machine that is no such core, ValueError where nothing runs on it.
    """
    kinds = list(cores_by_name(core).values())
    for each in kinds:
        checks.has(each, "time")
    if not bill.optical_macs:
        raise ValueError("nothing in the bill runs on the core, so no number of cores follows from it")
    calls = ops / 2 / bill.macs
    seconds = bill.seconds_by_core if isinstance(core, CoresBySite) else (bill.core_seconds,)
    if len(seconds) != len(kinds):
        raise ValueError("the bill is of another machine: it does not have the cores of this design")
    counts = [calls * spent for spent in seconds]
    # Multiply-accumulates that each could do in its time, if every tile were full and never reloaded.
    at_full_rate = [
        spent * each.rows * each.columns * each.clock / each.encoding.symbols
        for spent, each in zip(seconds, kinds, strict=True)
    ]
    resident = _summed(counts, [each.rows * each.columns / each.encoding.passes for each in kinds])
    return System(
        ops=ops,
        cores=sum(counts),
        utilisation=bill.optical_macs / sum(at_full_rate),
        resident_weights=resident,
        # JAX takes no Python integer of more than 32 bits.
        passes=1.0 * weights / resident,
        sources=_summed(counts, [each.rows * each.encoding.sources for each in kinds]),
        converters=_summed(counts, [each.columns * each.encoding.planes for each in kinds]),
        watts={name: energy * calls for name, energy in bill.components.items()},
        loads_per_second=calls * bill.loads,
    )


def _summed(counts: Sequence[Number], of_each: Sequence[Number]) -> Number:
    return sum(count * each for count, each in zip(counts, of_each, strict=True))
