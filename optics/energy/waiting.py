"""Power of cores that wait: what a bill leaves out, because it prices the work of products and not the time around it.

The bill of a product (`optics.core.cost.energy`) takes its unused rows to be dark, without bias, and its unused columns
to be without amplifier power and conversions. While a mask is loaded it counts the bias of the sources and the
amplifiers of the rows and columns in use, and no converter. Cores that wait for digital arithmetic, or for the end of
a batch, are not in it. Sources are dark while they wait, and draw their bias alone.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from electronics.part import Number, number
from electronics.validation import without_plausibility
from optics.core import cost
from optics.core.by_site import CoresBySite, Machine, host_core
from optics.core.tensor_core import TensorCore
from optics.datapath import tiling
from optics.energy.bill import price
from optics.interpreter.plan import Site


class WaitingLine(enum.StrEnum):
    """Energies of waiting cores, named as tables and summary.json print them."""

    RELOAD = "converters while masks load"
    UNUSED = "rows and columns that tiles leave unused"

    __repr__ = str.__repr__


@dataclasses.dataclass(frozen=True)
class Standby:
    """What stays powered on a core that waits.

    Attributes:
        converters: power of a DAC or an ADC that converts nothing, as a share of its power at the rate of the core.
        unused: share of the unused rows and columns of a tile that stay powered as those of a waiting core; 0 switches
            them off, as the bill does.
    """

    converters: Number
    unused: Number


def row_watts(core: TensorCore, converters: Number) -> Number:
    """Power [W] of one row that waits: bias of its sources, and the standby share `converters` of its DAC."""
    return core.encoding.sources * core.source.bias_power + converters * _dac_watts(core)


def column_watts(core: TensorCore, converters: Number) -> Number:
    """Power [W] of one column that waits: its amplifiers, and the standby share `converters` of its ADCs."""
    return core.encoding.planes * (core.tia.power + converters * _adc_watts(core, core.accumulate))


def idle_watts(core: TensorCore, converters: Number) -> Number:
    """Power [W] of a core all of whose rows and columns wait, without host and power conversion."""
    return core.rows * row_watts(core, converters) + core.columns * column_watts(core, converters)


def waiting(
    machine: Machine,
    sites: Sequence[Site],
    standby: Standby,
    *,
    experts_per_token: Mapping[str, float] | None = None,
) -> dict[str, Number]:
    """Energy [J] that the bill of these sites leaves out while the cores hold them, by `WaitingLine`, at the plug.

    Per product of R x C cores, tiles of H x W in T_r x T_c, symbol time t for v vectors and reload time u:
    RELOAD is u (T_c r DAC + T_r c ADC) of the r rows and c columns of the product; UNUSED is (v t + u) times
    ((R T_r - r) T_c row_watts + (C T_c - c) T_r column_watts). Host and power conversion are added as `optics.price`
    adds them to the core's own energy.

    Args:
        machine: the core, or a design with a core for each site.
        sites: as given to `optics.price`.
        standby: what stays powered.
        experts_per_token: as of `optics.price`.
    """
    found = price(_in_standby(machine, standby), [s for s in sites if s.optical], experts_per_token=experts_per_token)
    overhead = at_plug(machine)
    lines = dict.fromkeys(WaitingLine, 0.0) | dict(found.components)
    return {line: overhead * lines[line] for line in WaitingLine}


def at_plug(machine: Machine) -> Number:
    """Energy at the plug per energy of the engine: 1 / ((1 - host share) x efficiency of power conversion)."""
    overhead = host_core(machine).overhead
    return 1 / ((1 - overhead.host_share) * overhead.conversion_efficiency)


def waiting_time(busy: Number, other: Number, overlap: Number) -> Number:
    """Time [s] that cores wait, which multiply for `busy` [s] of a call of which `other` [s] is computed elsewhere.

    Of the shorter of the two the share `overlap` runs beside the longer one, and the rest after it. The call takes
    max(busy, other) + (1 - overlap) min(busy, other), and the cores wait for all but `busy` of it.
    """
    return jnp.maximum(busy, other) + (1 - overlap) * jnp.minimum(busy, other) - busy


def drain_share(stages: Number, units: Number) -> Number:
    """Time that cores wait at the ends of a batch over the time that they multiply: (stages - 1) / units.

    Of a pipeline of S stages a batch of M units takes M + S - 1 steps, in M of which each stage works (Huang et al.,
    GPipe, NeurIPS 2019, where the idle share of all steps is (S - 1) / (M + S - 1)).
    """
    return (stages - 1) / units


class _StandbyCore(TensorCore):
    """A core whose `cost` is the energy that the bill of a product leaves out, without host and power conversion."""

    standby_converters: Number = number("1", least=0, most=1)
    standby_unused: Number = number("1", least=0, most=1)

    def cost(self, *, rows: int, columns: int, vectors: float, resident: bool) -> dict[str, Number]:
        tiles = tiling.fit(rows, columns, self.rows, self.columns, self.accumulate)
        reload = cost.reload_time(self, cost.fills(self, vectors, resident))
        dacs = rows * tiles.column_tiles * _dac_watts(self)
        adcs = columns * tiles.row_tiles * self.encoding.planes * _adc_watts(self, tiles.accumulated)
        rows_off = (self.rows * tiles.row_tiles - rows) * tiles.column_tiles
        columns_off = (self.columns * tiles.column_tiles - columns) * tiles.row_tiles
        held = vectors * self.encoding.symbols / self.clock + reload
        share = self.standby_converters
        return {
            WaitingLine.RELOAD: reload * share * (dacs + adcs),
            WaitingLine.UNUSED: held
            * self.standby_unused
            * (rows_off * row_watts(self, share) + columns_off * column_watts(self, share)),
        }

    def digital_cost(self, macs: float) -> Number:
        return 0.0 * macs


def _in_standby(machine: Machine, standby: Standby) -> Machine:
    if isinstance(machine, CoresBySite):
        return machine.each(lambda core: _standby_core(core, standby))
    return _standby_core(machine, standby)


def _standby_core(core: TensorCore, standby: Standby) -> _StandbyCore:
    fields = {field.name: getattr(core, field.name) for field in dataclasses.fields(core)}
    with without_plausibility():
        return _StandbyCore(**fields, standby_converters=standby.converters, standby_unused=standby.unused)


def _dac_watts(core: TensorCore) -> Number:
    """Power [W] of the DAC of a row at the symbol rate."""
    return core.dac.energy(core.clock) * core.clock


def _adc_watts(core: TensorCore, accumulated: int) -> Number:
    """Power [W] of the ADC of a column and plane that converts once per `accumulated` symbols."""
    rate = core.clock / accumulated
    return core.adc.energy(rate) * rate
