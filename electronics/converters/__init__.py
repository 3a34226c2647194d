"""Converters and amplifiers: ADC, DAC, transimpedance amplifier, and the limits that they share."""
