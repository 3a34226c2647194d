"""How files state the shape of a model and name its parameters."""
