"""The summary of a verdict in tables, sentences and figures."""
