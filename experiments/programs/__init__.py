"""Programs of one file each."""
