"""The programs people run: `otc NAME`. Imports electronics, optics and models."""

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended."""
