"""The programs people run: `python -m experiments NAME`. Imports electronics, optics and models."""
