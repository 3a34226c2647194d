"""What several programs share. Imports no program."""
