"""Digital systems for language models: what they reach and draw, and serving on any machine, digital or optical.

`predict` answers for one system. Beneath it: `DigitalSystem` is data with ranges, `DigitalSystem.at` a machine at a
corner of them, and `Machine` the protocol (`prefill`, `decode_step`, memory, link, idle and nameplate watts) on which
`serve` is built, and `serve_pair` for a machine that reads prompts and one that writes answers. What was fitted to
published results, and how, is in `experiments.serving.validate`.
"""

from experiments.serving.model.digital import DigitalMachine, Software
from experiments.serving.model.machine import Cost, Machine
from experiments.serving.model.pair import Pair, ServedByPair, serve_pair
from experiments.serving.model.precision import PRECISIONS, Precision, precision_named
from experiments.serving.model.predict import AnySystem, Prediction, Range, chips_needed, machine_of, predict
from experiments.serving.model.serving import (
    Request,
    Served,
    largest_batch_within,
    needed_bytes,
    prompt_cost,
    require_fit,
    sequences_that_fit,
    serve,
)
from experiments.serving.model.shape import Model, Shape
from experiments.serving.model.split import Split, serve_split
from experiments.serving.model.system import (
    CORNERS,
    SYSTEMS,
    Corner,
    DigitalSystem,
    hand_over_joules,
    hand_over_seconds,
    machine,
    system_named,
)

__all__ = [
    "CORNERS",
    "PRECISIONS",
    "SYSTEMS",
    "AnySystem",
    "Corner",
    "Cost",
    "DigitalMachine",
    "Machine",
    "Model",
    "Pair",
    "Precision",
    "Prediction",
    "Range",
    "Request",
    "Served",
    "ServedByPair",
    "Shape",
    "Software",
    "Split",
    "DigitalSystem",
    "chips_needed",
    "hand_over_joules",
    "hand_over_seconds",
    "largest_batch_within",
    "machine",
    "machine_of",
    "needed_bytes",
    "precision_named",
    "predict",
    "prompt_cost",
    "require_fit",
    "sequences_that_fit",
    "serve",
    "serve_pair",
    "serve_split",
    "system_named",
]
