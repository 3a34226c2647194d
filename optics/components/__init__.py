"""Physical parts of the core. Each transforms the signal or describes the hardware; imports electronics alone."""
