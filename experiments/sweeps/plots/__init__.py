"""A run as figures and as text tables."""
