"""aihwkit's analogue layer for comparison, where it is installed: the same converters, tiles and output noise."""

import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from experiments.bench.cases import BenchCase

DAC_BITS, ADC_BITS = 8, 10
BOUND, OUT_NOISE = 12.0, 0.04


class Layers(NamedTuple):
    """torch's linear layer and aihwkit's, each a function without arguments."""

    digital: Any
    emulated: Any


def settings() -> str | None:
    """Describe the settings of aihwkit; None where it is not installed."""
    if importlib.util.find_spec("aihwkit") is None:
        return None
    return (
        f"its torch tile in eval mode, {DAC_BITS}-bit inputs scaled to the largest of each vector, {ADC_BITS}-bit "
        f"outputs within {BOUND:g}, output noise {OUT_NOISE:g}, tiles as ours; without shot noise, noise of inputs "
        "or imperfections"
    )


def layer(case: "BenchCase") -> Layers | None:
    """Return both layers at a product's size; None for other work, or where aihwkit is not installed."""
    if case.kind != "product" or settings() is None:
        return None
    # An optional peer, which the project does not depend on.
    import torch  # pyright: ignore[reportMissingImports]
    from aihwkit.nn import AnalogLinear  # pyright: ignore[reportMissingImports]
    from aihwkit.simulator.configs import TorchInferenceRPUConfig  # pyright: ignore[reportMissingImports]
    from aihwkit.simulator.parameters.enums import NoiseManagementType  # pyright: ignore[reportMissingImports]

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size, config.mapping.max_output_size = case.tile_rows, 1024
    config.forward.inp_res = 1 / (2**DAC_BITS - 1)
    config.forward.out_res = 1 / (2 ** (ADC_BITS - 1) - 1)
    config.forward.out_bound, config.forward.out_noise = BOUND, OUT_NOISE
    config.forward.noise_management = NoiseManagementType.ABS_MAX
    noise = np.random.default_rng(0)
    x = torch.from_numpy(noise.normal(size=(case.vectors, case.rows)).astype(np.float32))
    plain = torch.nn.Linear(case.rows, case.columns, bias=False)
    analogue = AnalogLinear(case.rows, case.columns, bias=False, rpu_config=config).eval()

    def run(module):
        with torch.inference_mode():
            return module(x)

    return Layers(lambda: run(plain).numpy(), lambda: run(analogue).numpy())
