"""`otc target`: does 1 exaOPS in 10 kW close, at an accuracy that a user would accept?"""
