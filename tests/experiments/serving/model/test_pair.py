"""Two machines that share the work, by hand."""

import pytest

import models
from experiments.serving.model import SYSTEMS, Model, Request, precision_named, serve
from experiments.serving.model.pair import Pair, matched, serve_pair

MODEL = Model(models.CONFIGS["llama-3.1-8b"], precision_named("fp8"))
REQUEST = Request(prompt=1000, output=200)
PROMPT_BYTES = 1000 * 65_536


def test_rates_match_and_joules_add(clockwork):
    """A decoding machine with batch 40 asks for 2 prompts/s: two readers to one writer, none of whom waits."""
    served = serve_pair(Pair.of(clockwork(), clockwork(), 1e-9), MODEL, REQUEST, 40)
    assert (served.prefills, served.decodes) == (2, 1)
    assert served.prefill_busy == pytest.approx(1) and served.decode_busy == pytest.approx(1)
    assert served.tokens_per_s == pytest.approx(400)
    assert served.prefill_j == pytest.approx(50 / 200) and served.decode_j == pytest.approx(2 / 40)
    assert served.idle_j == pytest.approx(3 * 30 / 400)
    assert served.transfer_j == pytest.approx(PROMPT_BYTES * 1e-9 / 200)
    assert served.j_per_token == pytest.approx(0.25 + 0.05 + 0.225 + PROMPT_BYTES * 1e-9 / 200)


def test_all_but_the_last_layer_crosses_while_the_prompt_is_read(clockwork):
    served = serve_pair(Pair.of(clockwork(), clockwork(), 0.0), MODEL, REQUEST, 40)
    assert served.ttft_s == pytest.approx(1 + 0.5 / 32)


def test_a_slow_link_is_waited_for_and_sets_the_rate(clockwork):
    """Three seconds to cross, one to read: two more to wait, and a reader hands over a prompt each three seconds."""
    pair = Pair.of(clockwork(), clockwork(), 0.0, link_bandwidth=PROMPT_BYTES / 3)
    served = serve_pair(pair, MODEL, REQUEST, 40)
    assert served.ttft_s == pytest.approx(1 + 2 + 1 / 32)
    assert (served.prefills, served.decodes) == (6, 1)
    assert served.prefill_busy == pytest.approx(1 / 3)


def test_a_cached_prefix_does_not_cross(clockwork):
    pair = Pair.of(clockwork(), clockwork(), 0.0)
    assert pair.hand_over_bytes(MODEL, Request(prompt=1000, cached=900, output=1)) == PROMPT_BYTES / 10


@pytest.mark.parametrize(
    ("ratio", "prefill", "decode", "group"),
    [
        (0.5, 100.0, 100.0, (1, 2)),
        (2.0, 100.0, 100.0, (2, 1)),
        (2 / 3, 100.0, 100.0, (2, 3)),
        (40.5, 100.0, 100.0, (41, 1)),
        # Dear readers are kept busy, though some writers wait; cheap ones may wait.
        (0.99 / 16, 1e6, 1.0, (1, 16)),
    ],
)
def test_whole_machines_are_matched(ratio, prefill, decode, group):
    assert matched(ratio, prefill, decode) == group


def test_the_group_is_the_cheapest_of_all():
    """Against all groups, at ratios that no small group meets."""
    for ratio in (0.13, 0.77, 1.618, 3.3, 11.1):
        for watts in ((1.0, 1.0), (1.0, 20.0), (20.0, 1.0)):
            p, d = matched(ratio, *watts)
            found = (p * watts[0] + d * watts[1]) / min(p / ratio, d)
            best = watts[0] * ratio + watts[1]
            assert best <= found * (1 + 1e-12) and found < 1.15 * best


def test_a_machine_paired_with_its_like_does_what_it_does_alone():
    """Two equal machines without a link to pay for: the same joules of work, and no more tokens/s for each."""
    machine = SYSTEMS["b200"].at(1)
    alone = serve(machine, MODEL, REQUEST, 128)
    paired = serve_pair(Pair.of(machine, machine, 0.0, link_bandwidth=1e30), MODEL, REQUEST, 128)
    assert paired.prefill_j == pytest.approx(alone.prefill_j) and paired.decode_j == pytest.approx(alone.decode_j)
    each = paired.tokens_per_s / (paired.prefills + paired.decodes)
    assert 0.8 * alone.tokens_per_s < each <= alone.tokens_per_s * (1 + 1e-9)
    assert paired.tpot_s < alone.tpot_s


def test_what_cannot_be_joined_is_refused(clockwork):
    with pytest.raises(ValueError, match="no link joins clockwork and clockwork: its bandwidth is 0"):
        Pair.of(clockwork(hand_over_bandwidth=0.0), clockwork(), 0.0)
    pair = Pair.of(SYSTEMS["h100"].at(1), SYSTEMS["groq"].at(1), 0.0)
    with pytest.raises(ValueError, match="groq has no fp8 rate"):
        serve_pair(pair, MODEL, REQUEST, 1)
    with pytest.raises(ValueError, match="do not fit"):
        serve_pair(pair, Model(MODEL.config, precision_named("int8")), REQUEST, 1)
