"""Scores of a language model under a core, against the digital model on the same windows of text."""
