"""Optical cores and digital machines at peak and as they are run, at the plug and at the facility."""
