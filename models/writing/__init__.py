"""Hugging Face folders that this package writes: checkpoints that were changed, and random ones."""
