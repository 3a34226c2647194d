"""`otc width`: photons per MAC for a fixed loss against the width of a product."""
