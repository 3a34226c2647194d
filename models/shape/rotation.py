"""Random rotations of vectors, fast ones where their width allows.

A rotation of width n = m 2^p is R = diag(s) (B kron H / 2^(p/2)): random signs s, Sylvester's Hadamard matrix H of
order 2^p, applied as p rounds of sums and differences, and a small orthogonal matrix B of order m. B is a Hadamard
matrix of Paley's where there is one of order m = 4k for the odd part k of n, and else a random orthogonal matrix of
order k.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Factors(NamedTuple):
    """The parts of a rotation in float64.

    Attributes:
        signs: [width].
        base: the orthogonal matrix B [m, m], with the scale of H in it.
        steps: p, the rounds of sums and differences.
    """

    signs: np.ndarray
    base: np.ndarray
    steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotation:
    """A random rotation of vectors of any width: hashable, so that it may be part of a static shape.

    Attributes:
        seed: of the signs, and of the random orthogonal matrix where there is one.

    Raises:
        ValueError: if the seed is no integer of at least 0.
    """

    seed: int

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"Rotation.seed is {self.seed!r}; it must be an integer of at least 0")

    def apply(self, x: jax.Array) -> jax.Array:
        """Return x R along the last axis, in the dtype of `x`."""
        signs, base, steps = _factors(x.shape[-1], self.seed)
        signs, base = jnp.asarray(signs, x.dtype), jnp.asarray(base, x.dtype)
        turned = _rounds(jnp, x * jnp.expand_dims(signs, range(x.ndim - 1)), steps)
        if len(base) == 1:
            return turned * base[0, 0]
        parts = turned.reshape(*x.shape[:-1], len(base), 2**steps)
        # Tied to the data, or interpreters that ask which arrays are weights would ask about this one.
        base, parts = jax.lax.optimization_barrier((base, parts))
        return jnp.einsum("...bh,bc->...ch", parts, base).reshape(x.shape)

    def of_outputs(self, matrix: np.ndarray) -> np.ndarray:
        """Return W R of a matrix W [..., in, out], or b R of a bias [..., out], in float64."""
        return np.asarray(matrix, np.float64) @ _dense(matrix.shape[-1], self.seed)

    def of_inputs(self, matrix: np.ndarray) -> np.ndarray:
        """Return R^T W of a matrix W [..., in, out], in float64."""
        return _dense(matrix.shape[-2], self.seed).T @ np.asarray(matrix, np.float64)


@functools.lru_cache(maxsize=2)
def _dense(width: int, seed: int) -> np.ndarray:
    """R [width, width]. One product of matrices takes less time here than rounds over arrays larger than a cache."""
    signs, base, steps = _factors(width, seed)
    hadamard = _rounds(np, np.eye(2**steps), steps)
    return signs[:, None] * np.kron(base, hadamard)


@functools.lru_cache(maxsize=16)
def _factors(width: int, seed: int) -> Factors:
    noise = np.random.default_rng([seed, width])
    signs = noise.choice([-1.0, 1.0], width)
    steps = (width & -width).bit_length() - 1
    odd = width >> steps
    base = np.ones((1, 1)) if odd == 1 else paley(4 * odd) if steps >= 2 else None
    if base is None:
        # The Q of a Gaussian matrix, with the signs that make it uniform over all orthogonal matrices.
        q, r = np.linalg.qr(noise.normal(size=(odd, odd)))
        base = q * np.sign(np.diag(r))
    elif odd > 1:
        base, steps = base / math.sqrt(len(base)), steps - 2
    return Factors(signs, base * 2 ** (-steps / 2), steps)


def _rounds(xp: Any, x: Any, steps: int) -> Any:
    """Sylvester's Hadamard matrix of order 2^steps along the last axis, in blocks, without its scale."""
    shape = x.shape
    for step in range(steps):
        pairs = x.reshape(*shape[:-1], -1, 2, 2**step)
        first, second = xp.split(pairs, 2, axis=-2)
        x = xp.concatenate([first + second, first - second], axis=-2).reshape(shape)
    return x


def paley(order: int) -> np.ndarray | None:
    """Return a Hadamard matrix of Paley's, entries 1 and -1 [order, order]; None where he gives none of that order.

    Order q + 1 for a prime q = 3 modulo 4, and 2 (q + 1) for a prime q = 1 modulo 4. Source: R. E. A. C. Paley, On
    orthogonal matrices, J. Math. Phys. 12, 311 (1933).
    """
    if _is_prime(order - 1) and (order - 1) % 4 == 3:
        skew = _conference(order - 1, -1)
        return skew + np.eye(order)
    if order % 2 == 0 and _is_prime(order // 2 - 1) and (order // 2 - 1) % 4 == 1:
        symmetric = _conference(order // 2 - 1, 1)
        plus, minus = np.array([[1, 1], [1, -1]]), np.array([[1, -1], [-1, -1]])
        return np.kron(symmetric, plus) + np.kron(np.eye(order // 2), minus)
    return None


def _conference(q: int, corner: int) -> np.ndarray:
    """The conference matrix of the quadratic residues modulo a prime, [q + 1, q + 1], `corner` times symmetric."""
    squares = {i * i % q for i in range(1, q)}
    residue = np.array([0.0] + [1.0 if i in squares else -1.0 for i in range(1, q)])
    made = np.ones((q + 1, q + 1))
    made[0, 0] = 0
    made[1:, 0] = corner
    made[1:, 1:] = residue[(np.arange(q)[:, None] - np.arange(q)[None]) % q]
    return made


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
