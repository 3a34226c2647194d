"""Digital logic: the backend beside the core, the integer baseline, and measured energies of digital accelerators."""
