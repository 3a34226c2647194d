"""Where light pays: energy of workloads on an optical core, beside that of digital machines on the same work."""
