"""Noise-aware training: a function of the user's own, or a language model, trained under the noise of a core.

result = training.train(
    training.Distillation(forward), params, data,           # data: arrays whose leading axis counts examples
    core=core, held_out=held_out, forward=forward,
    options=training.Options(steps=400, batch=64, rate=1e-3),
    out="runs/mine",                                        # the same call goes on with an interrupted run
)
"""

from experiments.training.method.gaussian import GaussianCore
from experiments.training.method.losses import CrossEntropy, Distillation
from experiments.training.method.trainable import Trainable
from experiments.training.run.checkpoint import load_adapted
from experiments.training.run.loop import train
from experiments.training.run.options import Options
from experiments.training.run.outcome import DivergedError, TrainingResult
from experiments.training.run.start import NoisySiteWarning
from experiments.training.task import Task
from optics.analysis.inverse import Knob

__all__ = [
    "CrossEntropy",
    "Distillation",
    "DivergedError",
    "GaussianCore",
    "Knob",
    "NoisySiteWarning",
    "Options",
    "Task",
    "Trainable",
    "TrainingResult",
    "load_adapted",
    "train",
]
