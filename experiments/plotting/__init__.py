"""What several programs' figures share. Imports no program."""
