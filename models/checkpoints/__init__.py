"""Files of trained parameters."""
