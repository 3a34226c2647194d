"""A convolution as matrix products: kernels are the weights, and each output position is a vector, its patch.

With kernels of k elements in all, from I to O channels and in G groups, there are G products of k I / G rows by O / G
columns. Patches repeat each input up to k times. They are made for a block of output positions at a time, so that they
never stand in memory together. A block starts after dark symbols, as every product does.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics.equations import _jax
from optics.equations._jax import JaxprEqn
from optics.equations.records import ConvolutionNumbers

# Elements of the patches, or of the outputs, of one block: 8 MB. Blocks of 32 MB and more are mapped into memory anew
# for each (docs/performance.md).
BLOCK = 2**21

# (x [matrices, vectors, rows], key) -> (y [matrices, vectors, columns], what was observed).
Multiply = Callable[[jax.Array, jax.Array], tuple[jax.Array, Any]]


class Geometry(NamedTuple):
    """A convolution of images [channels, *sizes], each in `batch_groups` parts, to outputs [outputs, *positions].

    Attributes:
        numbers: strides, padding, dilation and the layout of the arrays.
        images: of the output; the input has `batch_groups` times as many.
        channels: of one feature group.
        kernel: extent of the kernels.
        outputs: channels of the output, of all groups.
        positions: extent of the output.
    """

    numbers: ConvolutionNumbers
    images: int
    channels: int
    kernel: tuple[int, ...]
    outputs: int
    positions: tuple[int, ...]

    @classmethod
    def of(cls, eqn: JaxprEqn) -> "Geometry":
        numbers = _jax.convolution(eqn)
        out_shape, kernel_shape = _jax.shape(eqn.outvars[0]), _jax.shape(eqn.invars[1])
        images, _, *positions = (out_shape[d] for d in numbers.out_layout)
        outputs, channels, *kernel = (kernel_shape[d] for d in numbers.kernel_layout)
        return cls(numbers, images, channels, tuple(kernel), outputs, tuple(positions))

    @property
    def groups(self) -> int:
        """Number of matrices."""
        return self.numbers.feature_groups * self.numbers.batch_groups

    @property
    def rows(self) -> int:
        """Rows of each matrix."""
        return self.channels * math.prod(self.kernel)

    @property
    def columns(self) -> int:
        """Columns of each matrix."""
        return self.outputs // self.groups

    @property
    def vectors(self) -> int:
        """Vectors through each matrix."""
        return self.images * math.prod(self.positions)

    def block(self) -> tuple[int, int]:
        """(images, positions along the first axis) of a block; they divide those of the output.

        Several whole images where they fit, else lines of one image.
        """
        line = math.prod(self.positions[1:]) * max(self.rows * self.groups, self.outputs)
        first = self.positions[0] if self.positions else 1
        if line * first > BLOCK:
            return 1, _divisor(first, BLOCK // line)
        return _divisor(self.images, BLOCK // max(line * first, 1)), first


def weights(eqn: JaxprEqn, kernel: jax.Array) -> jax.Array:
    """The kernels as matrices [matrices, columns, rows], in the order of `convolve`."""
    geometry = Geometry.of(eqn)
    moved = jnp.transpose(kernel, geometry.numbers.kernel_layout)
    return moved.reshape(geometry.groups, geometry.columns, geometry.rows)


def convolve(
    eqn: JaxprEqn, x: jax.Array, key: jax.Array, multiply: Multiply, join: Callable[[Any, Any], Any]
) -> tuple[jax.Array, Any]:
    """(the output of a convolution, what was observed), by products of the patches of each block of positions.

    Args:
        eqn: the convolution.
        x: its input, real or complex.
        key: of all blocks, each of which folds its number into it.
        multiply: the products of patches with the kernels, of the dtype of the output.
        join: joins what was observed of two blocks.
    """
    geometry = Geometry.of(eqn)
    layout = geometry.numbers.out_layout
    images, lines = geometry.block()
    first = geometry.positions[0] if geometry.positions else 1
    into_layout = _inverse(layout)
    if (images, lines) == (geometry.images, first):
        y, seen = _block(geometry, x, 0, 0, key, multiply)
        return jnp.transpose(y, into_layout), seen

    # A gradient makes the patches of a block again: kept, those of all blocks would stand in memory together.
    products = jax.checkpoint(lambda x, start, line, key: _block(geometry, x, start, line, key, multiply))
    by_image = first // lines

    def step(state, number):
        joined, so_far = state
        start, line = number // by_image * images, number % by_image * lines
        y, seen = products(x, start, line, jax.random.fold_in(key, number))
        place = [start if axis == 0 else line if axis == 2 else 0 for axis in into_layout]
        joined = jax.lax.dynamic_update_slice(joined, jnp.transpose(y, into_layout), place)
        return (joined, join(so_far, seen)), None

    count = geometry.images // images * by_image
    shape, seen = jax.eval_shape(products, x, 0, 0, key)
    whole = jnp.zeros(_jax.shape(eqn.outvars[0]), shape.dtype)
    nothing = jax.tree.map(jnp.zeros_like, seen)
    return jax.lax.scan(step, (whole, nothing), jnp.arange(count))[0]


def _block(
    geometry: Geometry, x: jax.Array, start: Any, line: Any, key: jax.Array, multiply: Multiply
) -> tuple[jax.Array, Any]:
    """Output [images, outputs, *positions] of a block from its first image and line."""
    images, lines = geometry.block()
    numbers = geometry.numbers
    patches = _patches(geometry, _images(geometry, x, start, images), line, lines)
    positions = patches.shape[3:]
    # [batch groups, images, feature groups, rows, *positions] -> [matrices, vectors, rows].
    patches = patches.reshape(numbers.batch_groups, images, numbers.feature_groups, geometry.rows, -1)
    patches = patches.transpose(0, 2, 1, 4, 3).reshape(geometry.groups, -1, geometry.rows)
    y, seen = multiply(patches, key)
    y = y.reshape(geometry.groups, images, -1, geometry.columns).transpose(1, 0, 3, 2)
    return y.reshape(images, geometry.outputs, *positions), seen


def _images(geometry: Geometry, x: jax.Array, start: Any, images: int) -> jax.Array:
    """The images of a block, of each batch group, in the layout of the input."""
    axis, groups = geometry.numbers.input_layout[0], geometry.numbers.batch_groups
    by_group = x.reshape(*x.shape[:axis], groups, geometry.images, *x.shape[axis + 1 :])
    taken = jax.lax.dynamic_slice_in_dim(by_group, start, images, axis + 1)
    return taken.reshape(*x.shape[:axis], groups * images, *x.shape[axis + 1 :])


def _patches(geometry: Geometry, x: jax.Array, line: Any, lines: int) -> jax.Array:
    """Images in the layout of the input -> [images, channels, kernel elements, lines, *further positions]."""
    numbers = geometry.numbers
    if not geometry.positions:
        return jnp.transpose(x, numbers.input_layout)[:, :, None]
    x = jnp.transpose(_lines(geometry, x, line, lines), numbers.input_layout)
    if x.ndim > 3:
        zero = jnp.zeros((), x.dtype)
        further = zip(numbers.padding[1:], numbers.input_dilation[1:], strict=True)
        x = jax.lax.pad(x, zero, [(0, 0, 0)] * 3 + [(low, high, step - 1) for (low, high), step in further])
    strides = (1, *numbers.strides[1:])
    counts = (lines, *geometry.positions[1:])
    spread = (1, *numbers.kernel_dilation[1:])

    def at(place: Sequence[int]) -> jax.Array:
        starts = [offset * step for offset, step in zip(place, spread, strict=True)]
        # The first axis of `_lines` is [kernel lines x lines], so its offset is whole lines.
        starts[0] = place[0] * lines
        limits = [s + (n - 1) * step + 1 for s, n, step in zip(starts, counts, strides, strict=True)]
        return jax.lax.slice(x, (0, 0, *starts), (*x.shape[:2], *limits), (1, 1, *strides))

    return jnp.stack([at(place) for place in itertools.product(*map(range, geometry.kernel))], axis=2)


def _lines(geometry: Geometry, x: jax.Array, line: Any, lines: int) -> jax.Array:
    """Lines of the padded and dilated input that a block meets, in place of the lines of the input.

    They are kernel lines x lines of the block: for each line of the kernel those of all positions. What is padding is
    0, and no padded copy of the input is made.
    """
    numbers, axis = geometry.numbers, geometry.numbers.input_layout[2]
    size, low, dilation = x.shape[axis], numbers.padding[0][0], numbers.input_dilation[0]
    stride, spread = numbers.strides[0], numbers.kernel_dilation[0]
    reach = ((lines - 1) * stride + (geometry.kernel[0] - 1) * spread) // dilation + 2
    near = min(size, reach)
    first = jnp.clip((line * stride - low) // dilation, 0, size - near)
    x = jax.lax.dynamic_slice_in_dim(x, first, near, axis)
    offsets = jnp.arange(geometry.kernel[0])[:, None] * spread
    place = (line + jnp.arange(lines))[None, :] * stride + offsets - low
    inside = (place % dilation == 0) & (place >= 0) & (place < size * dilation)
    lines_of_block = jnp.where(inside, place // dilation - first, near).reshape(-1)
    return jnp.take(x, lines_of_block, axis=axis, mode="fill", fill_value=0)


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most `most`, and at least 1."""
    return max(one for one in range(1, max(min(number, most), 1) + 1) if number % one == 0)


def _inverse(permutation: Sequence[int]) -> list[int]:
    return sorted(range(len(permutation)), key=lambda axis: permutation[axis])
