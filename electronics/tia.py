"""The transimpedance amplifier behind each detector pair."""

from electronics.part import Number, Part, number


class TIA(Part):
    """Amplifier given by its input-referred noise current density and its power."""

    noise_density: Number = number("A/sqrt(Hz)", least=0)
    power: Number = number("W", least=0)

    def noise_variance(self, bandwidth: Number) -> Number:
        """Input-referred current variance [A^2]: i_n^2 B."""
        return self.noise_density**2 * bandwidth

    def energy(self, rate: Number) -> Number:
        """Energy per symbol [J]: a static power, so slow symbols cost more."""
        return self.power / rate
