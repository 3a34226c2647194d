"""`otc bench`: the emulated work against the digital work of the same shape, interleaved."""
