"""Generation of text by a language model on light, beside the digital model."""
