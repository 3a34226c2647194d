"""Other emulators on the products of the benchmark, where they are installed: the same operands, converters and tiles.

The project does not depend on them. Each is timed beside the digital layer of its own library.
"""

import contextlib
import math
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from experiments.bench import floors
from experiments.bench.cases import BenchCase, operands
from experiments.bench.records import PeerRecord

NUMBERS = floors.Numbers()
INPUT_STEPS, OUTPUT_STEPS = 2 * NUMBERS.input_levels, 2 * NUMBERS.output_levels
"""Steps over both signs, as the peers count them: codes of 8 bits on each of two rails, and 10 bits with the sign."""
BOUND = 12.0
"""Output range in units of the largest input of a vector times the largest weight; 6 sigma of Gaussian operands."""
OUT_NOISE = 0.04
"""Standard deviation of the noise at each output of a tile, in the same units."""
TILE_COLUMNS = 1024
EQUAL = (
    f"inputs of {INPUT_STEPS:.0f} steps scaled to the largest of each vector, outputs of {OUTPUT_STEPS:.0f} steps "
    f"within {BOUND:g} times the largest input and weight, noise of {OUT_NOISE:g} of that unit at each output of a "
    "tile; no shot noise, no noise of inputs, no imperfection"
)


class Layers(NamedTuple):
    """The digital layer of a peer's library and the peer's, each a function without arguments."""

    digital: Callable[[], Any]
    emulated: Callable[[], Any]


class Peer(NamedTuple):
    """A package that may be installed.

    Attributes:
        module: the module that is imported.
        digital: the layer that it is compared with.
        settings: the settings beyond `EQUAL`.
        layers: makes both layers of a product from its case, inputs [vectors, rows] and weights [columns, rows].
    """

    module: str
    digital: str
    settings: str
    layers: Callable[[BenchCase, np.ndarray, np.ndarray], Layers]


def installed() -> dict[str, PeerRecord]:
    """Return version and settings of the peers that are installed, by name; none of them is imported."""
    return {
        name: {"version": version(name), "digital": peer.digital, "settings": f"{EQUAL}; {peer.settings}"}
        for name, peer in PEERS.items()
        if find_spec(peer.module) is not None
    }


def layers(case: BenchCase) -> dict[str, Layers]:
    """Return the layers of the peers that are installed, by name; none unless the case is a product in float32."""
    if case.kind != "product" or case.way != "float32" or case.light != "factored":
        return {}
    present = [peer for peer in PEERS if find_spec(PEERS[peer].module) is not None]
    if not present:
        return {}
    x, w = (np.array(operand) for operand in operands(case))
    # aihwkit-lightning prints when it is imported, and standard output carries the timings.
    with contextlib.redirect_stdout(sys.stderr):
        return {name: PEERS[name].layers(case, x, np.ascontiguousarray(w.T)) for name in present}


def _aihwkit(case: BenchCase, x: np.ndarray, weights: np.ndarray) -> Layers:
    from aihwkit.nn import AnalogLinear  # pyright: ignore[reportMissingImports]
    from aihwkit.simulator.configs import TorchInferenceRPUConfig  # pyright: ignore[reportMissingImports]
    from aihwkit.simulator.parameters.enums import (  # pyright: ignore[reportMissingImports]
        BoundManagementType,
        NoiseManagementType,
    )

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size, config.mapping.max_output_size = case.tile_rows, TILE_COLUMNS
    config.mapping.weight_scaling_omega = 1.0
    config.forward.inp_res, config.forward.out_res = INPUT_STEPS, OUTPUT_STEPS
    config.forward.out_bound, config.forward.out_noise = BOUND, OUT_NOISE
    config.forward.noise_management = NoiseManagementType.ABS_MAX
    # By default it repeats a product with smaller inputs until no output clips.
    config.forward.bound_management = BoundManagementType.NONE
    plain = _linear(weights)
    return _torch_layers(plain, AnalogLinear.from_digital(plain, config).eval(), x)


def _aihwkit_lightning(case: BenchCase, x: np.ndarray, weights: np.ndarray) -> Layers:
    from aihwkit_lightning.nn import AnalogLinear  # pyright: ignore[reportMissingImports]
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig  # pyright: ignore[reportMissingImports]

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size = case.tile_rows
    config.forward.inp_res, config.forward.out_res = INPUT_STEPS, OUTPUT_STEPS
    # It divides the noise of a tile by the root of their number.
    tiles = math.ceil(case.rows / case.tile_rows)
    config.forward.out_bound, config.forward.out_noise = BOUND, OUT_NOISE * math.sqrt(tiles)
    config.pre_post.input_range.enable = config.pre_post.input_range.dynamic = True
    plain = _linear(weights)
    return _torch_layers(plain, AnalogLinear.from_digital(plain, config).train(), x)


def _linear(weights: np.ndarray) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    columns, rows = weights.shape
    plain = torch.nn.Linear(rows, columns, bias=False)
    plain.weight.data = torch.from_numpy(weights)
    return plain


def _torch_layers(plain: Any, analogue: Any, x: np.ndarray) -> Layers:
    import torch  # pyright: ignore[reportMissingImports]

    inputs = torch.from_numpy(x)

    def run(module: Any) -> np.ndarray:
        with torch.inference_mode():
            return module(inputs).numpy()

    return Layers(lambda: run(plain), lambda: run(analogue))


PEERS = {
    "aihwkit": Peer(
        "aihwkit",
        "torch.nn.Linear",
        f"its torch tile in eval mode, tiles of {TILE_COLUMNS:,} columns",
        _aihwkit,
    ),
    "aihwkit-lightning": Peer(
        "aihwkit_lightning",
        "torch.nn.Linear",
        "in training mode without a gradient, as it draws no noise in eval mode; tiles of all columns",
        _aihwkit_lightning,
    ),
}
