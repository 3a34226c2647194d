"""One matrix product, in the order in which light passes through it. Imports the components."""
