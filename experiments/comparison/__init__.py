"""Peak beside peak and achieved beside achieved, of optical cores and digital machines, at the plug and the facility."""
