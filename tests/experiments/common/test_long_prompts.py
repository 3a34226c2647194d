"""Prompts whose causal mask is too large to fold: the same counts as with the mask, and closed forms beyond it."""

import dataclasses

import pytest

import models
import optics
from experiments.common import long_prompts
from experiments.common import workload as workloads
from experiments.common.workload import Workload


@pytest.mark.parametrize("name", ["llama-3.1-8b", "gpt-oss-120b", "deepseek-v3"])
def test_long_prompts_count_what_the_mask_leaves(name, monkeypatch):
    """Under a lower bound, 4,096 tokens come from shorter prompts, and every site and count is that of the mask."""
    # On the core's own choice of the operand, and for one model on the other one.
    places = ("light", "light-left") if name == "llama-3.1-8b" else ("light",)
    core = optics.projected_2029()

    def counted():
        workloads._sites_of.cache_clear()
        workloads._operations_of.cache_clear()
        digital = Workload(config=models.CONFIGS[name], context=4096)
        on_light = [dataclasses.replace(digital, attention=attention).sites_on(core) for attention in places]
        return digital._short, digital.sites, on_light, digital.operations

    none, *direct, operations = counted()
    monkeypatch.setattr(long_prompts, "LONGEST_MASK", 3500)
    short, *found, found_operations = counted()
    assert not none and [each.context for each in short] == [1024, 2048, 3072]
    assert found == direct
    assert found_operations == pytest.approx(operations, rel=1e-12)


@pytest.mark.parametrize("length", [11_586, 131_072])
def test_attention_of_the_longest_prompts_is_that_of_the_closed_form(length):
    """Query i meets i keys, twice, in every head; softmax does 12 operations for each score and one for each row."""
    config = models.LLAMA_3_1_8B
    work = Workload(config=config, context=length)
    scores = length * (length + 1) // 2
    attention = sum(site.macs for site in work.sites if not site.stationary)
    assert attention == 2 * config.layers * config.heads * config.head_dim * scores
    assert work.operations["softmax"] == config.layers * config.heads * (12 * scores + length)


def test_window_beyond_the_largest_mask_is_refused():
    config = models.DecoderConfig(
        hidden=32, intermediate=48, layers=2, heads=4, kv_heads=2, head_dim=8, vocabulary=64, context=65536,
        tied_head=True, rope_theta=1e4, window=10_000,
    )  # fmt: skip
    assert long_prompts.probes(config, 11_000) == ()
    with pytest.raises(ValueError, match="context = 20000 of a model with a window of 10000 tokens"):
        long_prompts.probes(config, 20_000)
