"""The strictest JAX there is: no silent rank or dtype promotion anywhere in the product."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
