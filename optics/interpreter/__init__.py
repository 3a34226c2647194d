"""Jaxprs: finding the products of a function, and evaluating it with other products. Knows no hardware."""
