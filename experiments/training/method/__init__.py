"""One step of noise-aware training: what is trained, on what loss, under which noise, with which update."""
