"""`otc random-checkpoint`: a Hugging Face folder of random weights of a known shape, to measure large models with."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

import models
from experiments.common.options import check_folder, check_integer, check_seed
from experiments.common.workload import shapes_named

MIB = 2**20


@dataclasses.dataclass(frozen=True)
class RandomCheckpointOptions:
    """Write a checkpoint of random bfloat16 weights, shard by shard; an interrupted one goes on where it was."""

    shape: Annotated[str, tyro.conf.Positional]
    """Model by name, as llama-3.1-8b."""
    folder: Annotated[Path, tyro.conf.Positional]
    """Folder to write."""
    _: dataclasses.KW_ONLY
    seed: int = 0
    """Seed of the weights."""
    shard_mib: int = 4096
    """MiB of a shard at most."""


def main(options: RandomCheckpointOptions) -> None:
    """Write the checkpoint and print where it is."""
    config = shapes_named(options.shape)
    check_folder("folder", options.folder)
    check_seed("seed", options.seed)
    check_integer("shard_mib", options.shard_mib, 1)
    models.write_random(config, options.folder, seed=options.seed, shard_bytes=options.shard_mib * MIB)
    count = models.parameter_count(config)
    print(f"Written: {options.folder}, {count / 1e9:.2f} billion random parameters in bfloat16, without a tokenizer")
