"""Running a sweep to its end, and the file that keeps its results."""
