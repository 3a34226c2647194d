"""The electrical constants of `constants.toml`, and the physical ones that all of electronics needs."""

from importlib.resources import files

from electronics.constants import read

CONSTANTS = read(files("electronics") / "constants.toml")

BOLTZMANN = CONSTANTS["physics.boltzmann"].value
ELEMENTARY_CHARGE = CONSTANTS["physics.charge"].value
ROOM_TEMPERATURE = CONSTANTS["physics.room_temperature"].value
