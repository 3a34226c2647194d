"""Checks of the fields of a model's shape, and of its tokens."""

import jax
import jax.numpy as jnp

_LARGEST_COUNT = 2**31 - 1
_LARGEST_NUMBER = 1e38


def require_count(config: object, name: str) -> None:
    """Raise ValueError unless a field is an integer from 1 to 2^31 - 1; the message names record, field and value."""
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(config).__name__}.{name} is {value!r}; it must be an integer of at least 1")
    if value > _LARGEST_COUNT:
        raise ValueError(
            f"{type(config).__name__}.{name} is {shown(value)}; it must be an integer of at most {_LARGEST_COUNT}"
        )


def require_number(config: object, name: str, at_least: float | None = None) -> None:
    """Raise ValueError unless a field is a finite number above 0, or of at least a bound."""
    value = getattr(config, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 < value <= _LARGEST_NUMBER and (at_least is None or value >= at_least):
        return
    bound = "above 0" if at_least is None else f"of at least {at_least:g}"
    raise ValueError(f"{type(config).__name__}.{name} is {shown(value)}; it must be a finite number {bound}")


def require_flags(config: object, name: str, length: int) -> None:
    """Raise ValueError unless a field is empty or holds one bool for each of `length` layers."""
    value = getattr(config, name)
    flags = isinstance(value, tuple) and all(isinstance(flag, bool) for flag in value)
    if not flags or len(value) not in (0, length):
        raise ValueError(
            f"{type(config).__name__}.{name} is {value!r}; it must be empty, or a tuple of one bool for each of "
            f"{length} layers"
        )


def check_tokens(tokens: jax.Array, context: int) -> None:
    """Raise ValueError unless tokens are integers [batch, length] within a model's context."""
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"tokens have shape {tokens.shape} and dtype {tokens.dtype}; they must be integers of shape [batch, length]"
        )
    if tokens.shape[1] > context:
        raise ValueError(f"tokens are {tokens.shape[1]} long; this model's context is {context}")


def check_one_per(what: str, name: str, numbers: jax.Array | None, tokens: jax.Array) -> None:
    """Raise ValueError unless an argument, where it is given, holds one number per sequence of the tokens."""
    if numbers is not None and numbers.shape != tokens.shape[:1]:
        raise ValueError(f"{name} has shape {numbers.shape}; it must be {tokens.shape[:1]}, one number per {what}")


def shown(value: object) -> str:
    """A value in a message, with integers of many digits shortened."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)
