"""Cores by name, from constants with sources, and cores as files."""
