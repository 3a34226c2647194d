"""The static shape of a decoder: sizes, and the features in which families differ, as data."""
