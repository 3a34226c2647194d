"""`otc serve`: which machine, or pair of machines, serves a language model at what rate and energy."""
