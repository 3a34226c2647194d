"""Published files that are fetched: the model of the examples and the evaluation texts."""
