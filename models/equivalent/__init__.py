"""Models of the same function with other numbers in them.

    model = models.load(models.fetch_model())
    model = models.equivalent.fold_norms(model)
    inputs = models.equivalent.measure_inputs(model, tokens)
    model = models.equivalent.rescale(model, inputs, 0.5)
    model = models.equivalent.rotate_down(model, seed=0)

Each takes a `models.Checkpoint` of a decoder and returns one whose logits are the same but for the rounding of float32.
What is changed becomes float32. A machine that multiplies inexactly may be closer to the function with one than with
another.
"""

from models.equivalent.input_statistics import InputStatistics, measure_inputs
from models.equivalent.norms import fold_norms, untie_head
from models.equivalent.rescaling import PLACES, RescalingSearch, rescale, search_rescaling
from models.equivalent.rotations import rotate_down, rotate_residual, rotate_values

__all__ = [
    "InputStatistics",
    "PLACES",
    "RescalingSearch",
    "fold_norms",
    "measure_inputs",
    "rescale",
    "rotate_down",
    "rotate_residual",
    "rotate_values",
    "search_rescaling",
    "untie_head",
]
