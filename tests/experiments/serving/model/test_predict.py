"""`predict`: its ranges, its directions, and what it refuses."""

import dataclasses

import pytest

import models
from experiments.serving.model import SYSTEMS, predict

LLAMA_8B, LLAMA_70B = models.CONFIGS["llama-3.1-8b"], models.CONFIGS["llama-3.1-70b"]
EVERY = [(name, precision) for name, system in SYSTEMS.items() for precision in system.precisions]


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_every_system_answers_with_a_range(name, precision):
    found = predict(name, LLAMA_8B, precision=precision, prompt=1024, output=256, batch=1)
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        if hasattr(value, "nominal"):
            assert 0 <= value.low <= value.nominal <= value.high, field.name
    assert found.tpot_s.low < found.tpot_s.high
    parts = found.prefill_j.nominal + found.decode_j.nominal + found.idle_j.nominal
    assert found.j_per_token.nominal == pytest.approx(parts)


def test_what_nobody_published_is_the_wider_range():
    def width(name: str) -> float:
        found = predict(name, LLAMA_8B, precision="fp8", prompt=1024, output=256, batch=8).j_per_token
        return found.high / found.low

    assert width("lp30") > 2 * width("h100")


def test_more_sequences_give_more_tokens_and_later_ones():
    found = [predict("b200", LLAMA_8B, precision="fp8", prompt=512, output=512, batch=b) for b in (1, 16, 256)]
    assert found[0].tokens_per_s.nominal < found[1].tokens_per_s.nominal < found[2].tokens_per_s.nominal
    assert found[0].tpot_s.nominal < found[1].tpot_s.nominal < found[2].tpot_s.nominal
    assert found[0].j_per_token.nominal > found[1].j_per_token.nominal > found[2].j_per_token.nominal


def test_a_cached_prefix_saves_the_reading():
    ask = dict(precision="fp8", prompt=120_000, output=200, batch=1)
    cold, warm = predict("b200", LLAMA_8B, **ask), predict("b200", LLAMA_8B, **ask, cached=119_000)
    assert warm.ttft_s.nominal < cold.ttft_s.nominal / 20
    assert warm.kv_bytes == cold.kv_bytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": "h10"}, "no system 'h10'; did you mean 'h100'"),
        ({"precision": "fp5"}, "no precision 'fp5'; did you mean 'fp8'"),
        ({"precision": "fp4"}, "h100 has no fp4 rate; it has bf16, fp8, int8"),
        ({"batch": 0}, "batch = 0 must be at least 1"),
        ({"chips": 0}, "chips = 0 must be at least 1"),
        ({"prompt": -5}, "prompt = -5 must be at least 1"),
        ({"output": 0}, "output = 0 must be at least 1"),
        ({"cached": 1024}, "cached = 1024 must be less than prompt = 1024"),
        ({"prompt": 131_072}, "more than the model's context of 131072"),
        ({"chips": 1, "batch": 64}, "it takes 2 chips, or a batch of at most 6"),
        ({"software": "vlm"}, "no software 'vlm'; did you mean 'vllm'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(change, message):
    ask = {"system": "h100", "precision": "fp8", "prompt": 1024, "output": 256} | change
    with pytest.raises(ValueError, match=message):
        predict(ask.pop("system"), LLAMA_70B, **ask)
