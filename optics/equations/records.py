"""Parameters of equations as typed records; `optics.equations._jax` reads them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Contraction(NamedTuple):
    """Dimensions of the two operands of a product that are summed over, and those that are batched over."""

    contract: tuple[Sequence[int], Sequence[int]]
    batch: tuple[Sequence[int], Sequence[int]]


class Ragged(NamedTuple):
    """A product whose left operand is in groups along one dimension, and its right one along one or none."""

    contraction: Contraction
    ragged_dimension: int
    group_dimensions: Sequence[int]


class ConvolutionNumbers(NamedTuple):
    """How a convolution's kernels meet its input, by spatial dimension, and where each dimension stands in its arrays.

    Attributes:
        strides, padding, input_dilation, kernel_dilation: as `jax.lax.conv_general_dilated` has them.
        feature_groups, batch_groups: parts of the channels, or of the images, that meet kernels of their own.
        input_layout: dimensions of the input's images, channels and sizes.
        kernel_layout: of the kernel's outputs, channels and extents.
        out_layout: of the output's images, channels and positions.
    """

    strides: Sequence[int]
    padding: Sequence[tuple[int, int]]
    input_dilation: Sequence[int]
    kernel_dilation: Sequence[int]
    feature_groups: int
    batch_groups: int
    input_layout: Sequence[int]
    kernel_layout: Sequence[int]
    out_layout: Sequence[int]


class Remat(NamedTuple):
    """The options of `jax.checkpoint`."""

    prevent_cse: bool
    policy: Callable[..., bool] | None


class ShardMap(NamedTuple):
    """A function of shards: over the `axes` of a mesh, of inputs and to outputs that are cut as their specs say.

    checked: whether JAX follows which values differ between the shards.
    """

    mesh: Any
    axes: tuple[str, ...]
    in_specs: Sequence[Any]
    out_specs: Sequence[Any]
    checked: bool


class Scan(NamedTuple):
    """A scan of `length` steps over `body`, whose inputs are `consts` constants, `carry` carried values, and slices."""

    length: int
    consts: int
    carry: int
    reverse: bool
    unroll: int
    body: Any


class WhileLoop(NamedTuple):
    """A while loop; the first inputs are `test_consts` constants of the test and `body_consts` of the body."""

    test_consts: int
    body_consts: int
    test: Any
    body: Any


class Cond(NamedTuple):
    """The branches of a cond, of which the first input selects one."""

    branches: Sequence[Any]
