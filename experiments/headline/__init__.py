"""`otc headline`: a language model on real text, digital against optical, accuracy and energy from one run."""
