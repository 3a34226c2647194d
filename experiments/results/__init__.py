"""Every figure and table of the documentation, redone from the programs that make them."""
