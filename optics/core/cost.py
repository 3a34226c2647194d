"""Cost of a product on a core: energy by component, time, and loads of the mask."""

from collections.abc import Callable

import jax.numpy as jnp

from electronics.part import Number
from optics.components.architecture import Architecture
from optics.core.cost_component import CostComponent
from optics.datapath import tiling
from optics.interpreter.plan import Site


def energy(core: Architecture, rows: int, columns: int, vectors: float, resident: bool) -> dict[str, Number]:
    """Energy [J] by component of `vectors` vectors through a rows x columns product.

    Unused rows are dark and unused columns are not converted, but each source illuminates all columns of the core.
    Calibration costs the symbols that its probes take. Operands are moved in the bits of all their digits, plus one
    for a sign, and outputs in the bits of the ADC.

    Args:
        core: the core.
        rows, columns, vectors: of the product.
        resident: whether the second operand stays on the mask for other vectors. An activation does not, and is
            written for these vectors.
    """
    code, clock, digital = core.encoding, core.clock, core.digital
    tiles = _tiles(core, rows, columns)
    driven = vectors * rows * tiles.column_tiles
    symbols = driven * code.symbols
    read = vectors * columns * tiles.row_tiles * code.conversions
    converted = vectors * columns * tiles.groups * code.conversions
    written = fills(core, vectors, resident) * rows * columns
    operand = core.dac.bits * code.input_slices + int(code.inputs in ("rails", "slots"))
    weight = core.mask.bits * code.weight_slices + int(code.weights == "rails")
    fetch = digital.weight_fetch(weight) if resident else digital.input_movement(weight)
    analogue: dict[str, Number] = {
        CostComponent.DAC: symbols * core.dac.energy(clock),
        CostComponent.LASER_LIGHT: driven * core.source.light_energy(code.light(core.source.mean_drive), clock),
        CostComponent.LASER_BIAS: symbols * code.sources * core.source.bias_energy(clock),
        CostComponent.TIA: read * core.tia.energy(clock),
        CostComponent.ADC: converted * core.adc.energy(clock / tiles.accumulated),
    }
    lost = core.upkeep.lost_duty(code.symbols / clock)
    return analogue | {
        CostComponent.INPUT_MOVEMENT: driven * (digital.input_movement(operand) + digital.rescale_energy),
        CostComponent.OUTPUT_MOVEMENT: converted * (digital.output_movement(core.adc.bits) + digital.rescale_energy),
        CostComponent.PARTIAL_SUMS: converted * digital.partial_sum(tiles.groups * code.conversions),
        CostComponent.WEIGHT_FETCH: written * fetch,
        # A weight owns as many pixels under each source of its input.
        CostComponent.MASK_WRITE: written * code.sources * code.pixels * code.weight_slices * core.mask.write_energy,
        CostComponent.IDLE_AT_RELOAD: reload_time(core, fills(core, vectors, resident))
        * (
            rows * tiles.column_tiles * code.sources * core.source.bias_power
            + columns * tiles.row_tiles * code.planes * core.tia.power
        ),
        CostComponent.CALIBRATION: lost / (1 - lost) * sum(analogue.values()),
    }


def time(core: Architecture, rows: int, columns: int, vectors: float, resident: bool) -> Number:
    """Time [s] that `vectors` vectors through a product occupy one core, loads and calibrations included."""
    symbol_time = core.encoding.symbols / core.clock
    working = _tile_count(core, rows, columns) * (
        vectors * symbol_time + reload_time(core, fills(core, vectors, resident))
    )
    return working / (1 - core.upkeep.lost_duty(symbol_time))


def loads(core: Architecture, rows: int, columns: int, vectors: float, resident: bool) -> Number:
    """Number of tile writes for these vectors; below 1 where the weights stay for further vectors."""
    return _tile_count(core, rows, columns) * fills(core, vectors, resident) * core.encoding.passes


def fills(core: Architecture, vectors: float, resident: bool) -> Number:
    """Number of times that the weights of a product are written, all slices together counted once.

    Resident weights serve other vectors too; other operands are written for these vectors, at least once.
    """
    loads_for_these = vectors / core.vectors_per_load
    return loads_for_these if resident else jnp.maximum(1.0, loads_for_these)


def reload_time(core: Architecture, fills: Number) -> Number:
    """Time [s] that a tile waits for its mask while its weights are written `fills` times."""
    return fills * core.encoding.passes * (core.mask.update_time + core.mask.settle_time)


def _tiles(core, rows, columns):
    return tiling.fit(rows, columns, core.rows, core.columns, core.accumulate)


def left_by_mask(site: Site, tiles: Callable[[int, int], tuple[int, int]]) -> tuple[float, float]:
    """The shares of the vectors that are sent through a tile, and of the tiles that are used, under a mask on scores.

    A causal mask leaves (n + 1) / 2n of n x n scores. Of T tiles along an axis that is masked it leaves (T + 1) / 2T:
    of a share s of the scores s + (1 - s) / T. Where the masked matrix is that of the outputs or of the inputs, the
    vectors skip tiles; where it stands on the mask, tiles are neither written nor lit.

    Args:
        site: a product of two activations.
        tiles: (rows, columns) -> number of tiles along each.
    """
    if site.share == 1.0:
        return 1.0, 1.0
    along_rows, along_columns = tiles(site.rows, site.columns)
    if site.masked == ("left" if site.weights_first else "right"):
        return 1.0, site.share + (1 - site.share) / min(along_rows, along_columns)
    along = along_columns if site.masked == "outputs" else along_rows
    return site.share + (1 - site.share) / along, 1.0


def tile_counts(core: Architecture, rows: int, columns: int) -> tuple[int, int]:
    """Number of tiles of a matrix along its rows and along its columns."""
    tiles = _tiles(core, rows, columns)
    return tiles.row_tiles, tiles.column_tiles


def _tile_count(core, rows, columns):
    along_rows, along_columns = tile_counts(core, rows, columns)
    return along_rows * along_columns
