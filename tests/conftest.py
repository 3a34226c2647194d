"""The strictest JAX there is, compiled quickly, and what several rooms' tests share: a tiny model, the real model."""

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
from experiments.evaluation.compiled_programs import mappings

# Compilation is three quarters of the suite's time, and without LLVM's optimisations and with the plainer of XLA's two
# emitters it takes a quarter. Tests are of the mathematics, which neither changes; `make test-optimised` runs them as
# users compile. Modules with the marker `optimised` do so always, but for the emitter. Programs are compiled whole and
# not in parts for several threads, of which a worker has one: an eighth less time and a third fewer memory maps in
# optics/core/test_counting.py, where nothing was compiled before.
QUICK = os.environ.get("TESTS_OPTIMISED", "") != "1"
if QUICK:
    _FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    # Each once, also in a worker of pytest-xdist, which inherits them: JAX finds programs by the text of the variable.
    _GIVEN = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join(_GIVEN + [flag for flag in _FLAGS.split() if flag not in _GIVEN])
    # The variable for programs that tests start, the setting for this process.
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    jax.config.update("jax_disable_most_optimizations", True)

# What one test compiled no other need compile, in this process or in another, whose variable names the same folder. The
# Makefile names one that stays, so that a second run compiles only what has changed.
COMPILED = "TESTS_COMPILED"
if COMPILED not in os.environ:
    _FOLDER = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
    os.environ[COMPILED] = _FOLDER.name
# As variables for programs that tests start, and as settings for this process, which may have imported JAX already.
for _name, _setting in (
    ("jax_compilation_cache_dir", os.environ[COMPILED]),
    ("jax_persistent_cache_min_compile_time_secs", 0.0),
    ("jax_persistent_cache_min_entry_size_bytes", 0),
):
    os.environ[_name.upper()] = str(_setting)
    jax.config.update(_name, _setting)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


# Files that take longest, longest first. Workers of `make test` take files in this order, so that none is left alone
# with one of them at the end; all others follow as they are collected.
LONGEST = (
    "test_networks.py",
    "test_docs.py",
    "optics/core/test_gradients.py",
    "experiments/sweeps/execution/test_runner.py",
    "optics/core/test_preload.py",
    "experiments/test_designs.py",
    "experiments/headline/test_headline.py",
    "experiments/target/test_target.py",
    "optics/interpreter/test_emulate.py",
    "optics/equations/test_convolution.py",
    "experiments/generate/test_generate.py",
    "optics/core/test_by_site.py",
    "optics/datapath/test_oracle.py",
    "optics/core/test_tensor_core.py",
    "experiments/adapt/test_adapt.py",
    "experiments/test_smollm2_on_light.py",
    "optics/core/test_counting.py",
    "experiments/width/test_width.py",
    "models/equivalent/test_smollm2.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_collection_finish() -> None:
    """Python looks for cycles among all that was imported each time that it has traced a program: 8 % of a test of
    gradients. What is here now stays, and the next search is later."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


# Each compiled program holds memory maps, of which Linux gives a process 65,530; a process without any left aborts
# while it compiles. Modules that follow one another share their programs up to this many maps, or small ones, such as
# those of single operations, were traced and loaded for each module: 8 % of the time of twenty modules.
MOST_MAPS = 16_000


def compile_quickly(quick: bool) -> None:
    """Compile with or without LLVM's optimisations, which JAX does not tell apart: what was compiled otherwise goes."""
    if jax.config.read("jax_disable_most_optimizations") != quick:
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", quick)


@pytest.fixture(scope="module", autouse=True)
def _programs_of_modules(request) -> Iterator[None]:
    compile_quickly(QUICK and request.node.get_closest_marker("optimised") is None)
    yield
    count = mappings()
    if count is None or count > MOST_MAPS:
        jax.clear_caches()


@pytest.fixture
def optimised() -> Iterator[None]:
    """The programs of this test are compiled with LLVM's optimisations, as tests of the last bit need."""
    before = jax.config.read("jax_disable_most_optimizations")
    compile_quickly(False)
    yield
    compile_quickly(before)


@pytest.fixture(scope="session")
def config() -> models.DecoderConfig:
    """Grouped queries, heads wider than the residual stream, Llama 3.1 scaling, untied head."""
    return models.DecoderConfig(
        hidden=12,
        intermediate=20,
        layers=3,
        heads=4,
        kv_heads=2,
        head_dim=8,
        vocabulary=17,
        context=64,
        tied_head=False,
        rope_theta=50.0,
        # With these the four frequencies are kept, interpolated, and (two) divided.
        rope_scaling=models.RopeScaling(
            factor=8.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_context=32
        ),
    )


@pytest.fixture(scope="session")
def random_params() -> Callable[[models.DecoderConfig], dict[str, Any]]:
    """Parameters with norms that are not all one, so that a forgotten norm weight shows."""

    def make(config: models.DecoderConfig) -> dict[str, Any]:
        # Drawn by NumPy: `models.initialise` takes seconds to compile.
        noise = np.random.default_rng(1)

        def leaf(path, shape):
            norm = path[-1].key.endswith("norm")
            fan_in = 1 if norm else shape.shape[-1 if path[-1].key == "embedding" else -2]
            drawn = norm + (0.2**2 + (not norm) / fan_in) ** 0.5 * noise.normal(size=shape.shape)
            return jnp.asarray(drawn, jnp.float32)

        return jax.tree.map_with_path(leaf, models.parameter_shapes(config))

    return make


@pytest.fixture(scope="session")
def params(config, random_params) -> dict[str, Any]:
    return random_params(config)


@pytest.fixture(scope="session")
def tokens(config) -> np.ndarray:
    return np.random.default_rng(0).integers(0, config.vocabulary, (2, 40), dtype=np.int32)


GgufTensors = dict[str, np.ndarray]


def gguf_tensors(config: models.DecoderConfig, params: dict[str, Any]) -> GgufTensors:
    """The parameters as llama.cpp's converter stores them: [out, in], rotary rows interleaved."""

    def interleave(w: np.ndarray, heads: int) -> np.ndarray:
        rows = w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1])
        return rows.swapaxes(1, 2).reshape(w.shape)

    params = jax.tree.map(np.asarray, params)
    tensors = {"token_embd.weight": params["embedding"], "output_norm.weight": params["norm"]}
    if not config.tied_head:
        tensors["output.weight"] = params["head"].T
    for i in range(config.layers):
        layer = {name: stack[i].T for name, stack in params["layers"].items()}
        tensors |= {
            f"blk.{i}.attn_norm.weight": layer["attention_norm"],
            f"blk.{i}.attn_q.weight": interleave(layer["q"], config.heads),
            f"blk.{i}.attn_k.weight": interleave(layer["k"], config.kv_heads),
            f"blk.{i}.attn_v.weight": layer["v"],
            f"blk.{i}.attn_output.weight": layer["o"],
            f"blk.{i}.ffn_norm.weight": layer["mlp_norm"],
            f"blk.{i}.ffn_gate.weight": layer["gate"],
            f"blk.{i}.ffn_up.weight": layer["up"],
            f"blk.{i}.ffn_down.weight": layer["down"],
        }
    return tensors


@pytest.fixture(scope="session")
def tensors(config, params) -> Callable[..., GgufTensors]:
    """The tiny model's GGUF tensors, or those of another config and parameters."""

    def make(config=config, params=params) -> GgufTensors:
        return gguf_tensors(config, params)

    return make


@pytest.fixture
def write_gguf(tmp_path, config) -> Callable[..., Path]:
    """Writes a GGUF file of the given tensors; `edit(writer)` may add metadata."""

    def write(
        tensors: GgufTensors,
        *,
        config: models.DecoderConfig = config,
        architecture: str = "llama",
        quantised: dict[str, gguf.GGMLQuantizationType] | None = None,
        edit: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
    ) -> Path:
        path = tmp_path / "tiny.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        writer.add_block_count(config.layers)
        writer.add_context_length(config.context)
        writer.add_embedding_length(config.hidden)
        writer.add_feed_forward_length(config.intermediate)
        writer.add_head_count(config.heads)
        writer.add_head_count_kv(config.kv_heads)
        writer.add_key_length(config.head_dim)
        writer.add_rope_freq_base(config.rope_theta)
        writer.add_layer_norm_rms_eps(config.norm_epsilon)
        edit(writer)
        for name, values in tensors.items():
            kind = (quantised or {}).get(name, gguf.GGMLQuantizationType.F32)
            data = gguf.quantize(np.ascontiguousarray(values, dtype=np.float32), kind)
            writer.add_tensor(name, data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


@pytest.fixture(scope="session")
def smollm2() -> models.Checkpoint:
    return models.load_gguf(models.fetch_model(), progress=False)
