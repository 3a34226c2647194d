"""How many cores a rate takes, and what surrounds them: resident weights, passes, converters, watts."""

from typing import NamedTuple

from electronics.part import Number
from optics import checks
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


def system(core: TensorCore, bill: Bill, *, weights: float, ops: Number = EXAOPS) -> System:
    """The cores behind a bill at `ops` operations per second, for a model with `weights` weights on masks.

    Where weights stay for many vectors every core holds rows x columns of them, so that all hold ops / (2 f), whatever
    the size of a core: a product takes rows x columns x symbol time of one. Cores that wait for a load count too: where
    `passes` comes out below 1 they could hold the model, and the reloads of the bill need not be.

    Raises TypeError for a machine that is no such core, ValueError where nothing runs on it.
    """
    checks.has(core, "time")
    if not bill.optical_macs:
        raise ValueError("nothing in the bill runs on the core, so no number of cores follows from it")
    calls = ops / 2 / bill.macs
    cores = calls * bill.core_seconds
    code = core.encoding
    full_rate = core.rows * core.columns * core.clock / code.symbols
    resident = cores * core.rows * core.columns / code.passes
    return System(
        ops=ops,
        cores=cores,
        utilisation=bill.optical_macs / (bill.core_seconds * full_rate),
        resident_weights=resident,
        passes=weights / resident,
        sources=cores * core.rows * code.sources,
        converters=cores * core.columns * code.planes,
        watts={name: energy * calls for name, energy in bill.components.items()},
        loads_per_second=calls * bill.loads,
    )
