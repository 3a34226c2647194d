"""A run of training: its order of data, checkpoints, held-out evaluations, early stop and refusals."""
