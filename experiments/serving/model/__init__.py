"""Model of machines that serve language models: time, energy and batching, on digital and optical machines.

`predict` evaluates one system. `DigitalSystem` holds its constants with their ranges, and `DigitalSystem.at` returns
the machine at a corner of them. `serve` and `serve_pair` (one machine for prefill, one for decode) accept any
`Machine`: an object with `prefill`, `decode_step`, memory, link, and idle and nameplate power. The constants that were
fitted to published results come from `experiments.serving.validate`.
"""

from experiments.serving.model.batching import (
    Request,
    Served,
    largest_batch_within,
    needed_bytes,
    prompt_cost,
    require_fit,
    sequences_that_fit,
    serve,
)
from experiments.serving.model.digital_machine import DigitalMachine, Software
from experiments.serving.model.machine import Cost, Machine
from experiments.serving.model.pair import Pair, ServedByPair, serve_pair
from experiments.serving.model.precision import PRECISIONS, Precision, precision_named
from experiments.serving.model.predict import AnySystem, Prediction, Range, chips_needed, machine_of, predict
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
from experiments.serving.model.transformer_cost import Model

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
