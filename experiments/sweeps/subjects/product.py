"""One product of Gaussian numbers, as the subject of a sweep."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optics
from experiments.common.options import check_integer, check_seed
from experiments.sweeps.subjects import drive, metrics
from experiments.sweeps.subjects.subject import digest

MOST_SIZE = 2**20
MOST_NUMBERS = 2**32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Product:
    """Gaussian vectors through a Gaussian matrix, both clipped at four sigma. In the bill a token is a vector.

    Attributes:
        rows: rows of the matrix, the length of a vector.
        columns: columns of the matrix.
        vectors: number of vectors.
        data_seed: seed of vectors and matrix.
    """

    rows: int = 1024
    columns: int = 1024
    vectors: int = 128
    data_seed: int = 0

    @property
    def offered(self) -> Sequence[str]:
        return ("relative_error", *metrics.READINGS)

    @property
    def own_metrics(self) -> Mapping[str, metrics.Metric]:
        return {}

    @property
    def samples(self) -> int:
        return 1

    def check(self) -> None:
        for name in ("rows", "columns", "vectors"):
            check_integer(f"on.{name}", getattr(self, name), 1, MOST_SIZE)
        if self.rows * self.columns > MOST_NUMBERS or self.vectors * max(self.rows, self.columns) > MOST_NUMBERS:
            raise ValueError(
                f"on.rows = {self.rows}, on.columns = {self.columns}, on.vectors = {self.vectors} make arrays of more "
                f"than {MOST_NUMBERS:g} numbers"
            )
        check_seed("on.data_seed", self.data_seed)

    def load(self) -> "LoadedProduct":
        return LoadedProduct(self)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "product", **dataclasses.asdict(self)}


class LoadedProduct:
    """Vectors [vectors, rows] and a matrix [rows, columns]."""

    def __init__(self, subject: Product):
        draws = np.random.default_rng(subject.data_seed)
        shapes = ((subject.vectors, subject.rows), (subject.rows, subject.columns))
        x, w = (np.clip(draws.normal(size=shape), -4, 4).astype(np.float32) for shape in shapes)
        self.subject, self.operands = subject, (jnp.asarray(x), jnp.asarray(w))
        self.sites = optics.trace(_product)(w, x)
        self.drive_of = ""
        self.macs = float(subject.vectors * subject.rows * subject.columns)
        self.samples = subject.samples
        self.program = "product"

    def score(
        self, core: Any, key: jax.Array, number: jax.Array, operands: Any, names: Sequence[str]
    ) -> dict[str, jax.Array]:
        x, w = operands
        own = jax.random.fold_in(key, number)
        values: dict[str, jax.Array] = {}
        if metrics.needs(names, "readings"):
            y, seen = core.observe(x, w, key=own)
            values |= metrics.of_readings(names, seen)
        else:
            y = core.matmul(x, w, key=own)
        if "relative_error" in names:
            exact = x @ w
            values["relative_error"] = jnp.sqrt(jnp.sum((y - exact) ** 2) / jnp.sum(exact**2))
        return {name: value[None] for name, value in values.items()}

    def drive(self, core: optics.TensorCore) -> drive.Drive:
        x, w = self.operands
        return drive.measure_drive(core, _product, [(w, x)])

    def price(self, core: Any, drives: Mapping[str, Any]) -> tuple[optics.Bill, int]:
        return optics.price(core, self.sites, readings=drives), self.subject.vectors

    def digest(self) -> str:
        return digest(*(np.asarray(array).tobytes() for array in self.operands))


def _product(w: jax.Array, x: jax.Array) -> jax.Array:
    return x @ w
