"""The digital logic beside the core: memories, wires, partial sums, scales, and products that stay digital."""

from collections.abc import Mapping
from typing import ClassVar

from electronics.part import Number, Part, count, number


class DigitalBackend(Part):
    """Energies of what feeds the DACs, takes from the ADCs, and computes what light does not.

    Words are as long as the converters and the mask make them; partial sums are kept in `accumulator_bits`.
    """

    retired: ClassVar[Mapping[str, str]] = {
        "word_bits": "movement is billed by the bits of the DAC and the mask: dac.bits, mask.bits",
        "output_bits": "movement is billed by the bits of the ADC: adc.bits",
    }

    sram_energy: Number = number("J/bit", least=0, most=1e-3, plausible=(None, 1e-10))
    wire_energy: Number = number("J/bit/m", least=0, most=1, plausible=(None, 1e-8))
    wire_length: Number = number("m", least=0, most=1e3, plausible=(None, 1))
    add_energy: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-10))
    rescale_energy: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-10))
    mac_energy: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-10))
    operation_energy: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-10))
    memory_energy: Number = number("J/bit", least=0, most=1e-3, plausible=(None, 1e-10))
    accumulator_bits: int = count(24)

    def input_movement(self, bits: Number) -> Number:
        """Energy [J] to bring an operand of `bits` from SRAM to its DAC or pixel: the read and the wire."""
        return bits * (self.sram_energy + self.wire_energy * self.wire_length)

    def output_movement(self, bits: Number) -> Number:
        """Energy [J] to bring a converted output of `bits` to where it is summed."""
        return bits * self.wire_energy * self.wire_length

    def partial_sum(self, row_tiles: int) -> Number:
        """Mean energy [J] per conversion of adding `row_tiles` partial sums in an SRAM accumulator.

        The first is written, the others are read, added and written: (2 n - 1) accesses and n - 1 adds for n tiles.
        """
        accesses = (2 * row_tiles - 1) / row_tiles
        return accesses * self.accumulator_bits * self.sram_energy + (1 - 1 / row_tiles) * self.add_energy

    def weight_fetch(self, bits: Number) -> Number:
        """Energy [J] to read one weight of `bits` from main memory."""
        return bits * self.memory_energy


class Overhead(Part):
    """Between the plug and the engine: power conversion, and the share that host, network and fans take."""

    conversion_efficiency: Number = number("1", least=1e-3, most=1)
    host_share: Number = number("1", least=0, most=0.999)

    def host(self, engine: Number) -> Number:
        """Energy [J] of host, network and fans around an engine that takes `engine` [J]."""
        return engine / (1 - self.host_share) - engine

    def conversion(self, delivered: Number) -> Number:
        """Energy [J] lost in power conversion when `delivered` [J] reach the boards."""
        return delivered / self.conversion_efficiency - delivered
