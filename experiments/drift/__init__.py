"""`otc drift`: what a core computes over hours, calibrated at several intervals."""
