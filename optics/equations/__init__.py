"""The equations of a traced function: their parameters as typed records, and products as matrix products."""
