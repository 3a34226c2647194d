"""The bill of a function, the system around the cores, and the light that a precision needs."""
