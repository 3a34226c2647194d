"""Analyses of a core: calibration, ablation, uncertainty, and inverse design."""
