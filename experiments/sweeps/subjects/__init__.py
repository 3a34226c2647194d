"""What a sweep runs on each core, and what it measures."""
