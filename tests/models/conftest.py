"""The tiny checkpoints that tests/models/fixtures holds, and one of them as a GGUF file."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

import models

FIXTURES = Path(__file__).parent / "fixtures"
# The tiny decoders, each with the logits of transformers.
DECODERS = tuple(sorted(path.parent.name for path in FIXTURES.glob("*/config.json") if path.parent.name != "bert"))
# Arguments of tests that are every decoder in turn, and every one of which equivalent models are made and saved.
EACH = {"decoder": DECODERS, "plain_decoder": tuple(name for name in DECODERS if name != "deepseek-v3")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument, names in EACH.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, names)


@pytest.fixture(scope="session")
def decoders() -> tuple[str, ...]:
    """Folders of the tiny decoders."""
    return DECODERS


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of the tiny checkpoints."""
    return FIXTURES


@dataclasses.dataclass(frozen=True)
class Given:
    """A tiny checkpoint, tokens [batch, length], and the logits of transformers."""

    name: str
    model: models.Checkpoint
    tokens: np.ndarray
    logits: np.ndarray


@pytest.fixture(scope="session")
def given() -> Callable[[str], Given]:
    """A tiny checkpoint by the name of its folder."""
    made: dict[str, Given] = {}

    def load(name: str) -> Given:
        if name not in made:
            expected = load_file(FIXTURES / name / "expected.safetensors")
            model = models.load(FIXTURES / name, progress=False)
            made[name] = Given(name, model, expected["tokens"], expected["logits"])
        return made[name]

    return load


@pytest.fixture
def copied(tmp_path) -> Callable[[str], Path]:
    """A copy of a tiny checkpoint's folder, to be spoilt."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(FIXTURES / name, folder)
        (folder / "expected.safetensors").unlink()
        return folder

    return copy


ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "gpt_oss": gguf.MODEL_ARCH.GPT_OSS,
}


@pytest.fixture
def as_gguf(tmp_path) -> Callable[..., Path]:
    """Writes a tiny checkpoint as llama.cpp's converter does, with the names of tensors that the gguf library has."""

    def write(name: str, kind: Callable[[str, np.ndarray], gguf.GGMLQuantizationType] | None = None) -> Path:
        config = json.loads((FIXTURES / name / "config.json").read_text())
        architecture = ARCHITECTURES[config["model_type"]]
        path = tmp_path / f"{name}.gguf"
        writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
        add_metadata(writer, config)
        names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
        for stored, values in converted(name, config):
            found = names.get_name(stored, try_suffixes=(".weight", ".bias"))
            assert found is not None, stored
            form = gguf.GGMLQuantizationType.F32 if kind is None else kind(found, values)
            writer.add_tensor(found, gguf.quantize(np.ascontiguousarray(values), form), raw_dtype=form)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def add_metadata(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config.get("sliding_window") and config["model_type"] != "mistral":
        writer.add_sliding_window(config["sliding_window"])
    if experts := config.get("num_local_experts") or config.get("num_experts"):
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config.get("moe_intermediate_size") or config["intermediate_size"])
    if config.get("attn_logit_softcapping"):
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def converted(name: str, config: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a folder by the names that the converter gives the gguf library."""
    kind = config["model_type"]
    tensors: dict[str, np.ndarray] = {}
    for path in sorted((FIXTURES / name).glob("model*.safetensors")):
        tensors |= load_file(path)
    experts: dict[str, list[np.ndarray]] = {}
    for stored, values in tensors.items():
        if kind in ("llama", "mistral", "mixtral", "smollm3") and ".self_attn." in stored:
            for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
                if part in stored:
                    halves = values.reshape(config[heads], 2, -1, *values.shape[1:])
                    values = halves.swapaxes(1, 2).reshape(values.shape)
        if kind.startswith("gemma") and stored.endswith("norm.weight"):
            values = values + np.float32(1)
        if ".experts." in stored and kind != "gpt_oss":
            before, _, after = stored.partition(".experts.")
            merged = f"{before}.experts.{after.partition('.')[2]}".replace("block_sparse_moe", "feed_forward")
            experts.setdefault(merged.removeprefix("model."), []).append(values)
            continue
        yield stored, values
    for merged, several in experts.items():
        full = f"model.{merged}" if kind == "qwen3_moe" else merged
        yield full, np.stack(several)
