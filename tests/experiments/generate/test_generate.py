"""`otc generate` on a tiny model: texts, agreement, bill, interruption, and what it refuses."""

import dataclasses
import json

import gguf
import jax
import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel

import models
import optics
from experiments import INTERRUPTED
from experiments.commands import run
from experiments.common.workload import Workload
from experiments.generate import machines, program
from experiments.generate.bill import Bill

TOKENS = 10


@pytest.fixture
def options(byte_model, core_file, tmp_path):
    """Options on the tiny model and a small core."""

    def make(prompt="The quick", **more):
        given = {"model": byte_model, "core": core_file, "tokens": TOKENS, "out": tmp_path / "out"} | more
        return program.GenerateOptions(prompt=prompt, **given)

    return make


@pytest.fixture
def core_file(tmp_path):
    optics.serialise.save(optics.today(rows=32, columns=32), tmp_path / "small.toml")
    return tmp_path / "small.toml"


def test_texts_agreement_and_bill(options, drawn, capsys, tmp_path):
    given = options(light=(2.0, 9.0))
    summary = program.main(given)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    model = models.load(given.model, progress=False)
    prompt = model.prompt(given.prompt)

    # The digital text is the plain greedy one; a follower is compared with it after the digital tokens.
    plain = list(models.generate(model.steps(64), model.params, prompt, TOKENS, key=jax.random.key(0)))
    (digital,) = summary["digital"]["texts"]
    assert digital == {"text": model.tokenizer.decode(plain), "tokens": plain, "stopped": False}
    assert summary["prompts"] == [{"text": given.prompt, "tokens": len(prompt)}]
    dim, bright = summary["cores"]
    assert (dim["name"], bright["name"]) == ("2 bits", "9 bits")
    assert dim["agreement"] < bright["agreement"]
    assert dim["kl"] > 10 * bright["kl"] > 0
    for core in (dim, bright):
        (text,) = core["texts"]
        pairs = list(zip(text["tokens"], plain, strict=True))
        place = next((n for n, (own, other) in enumerate(pairs) if own != other), None)
        assert text["first_divergence"] == place
        assert len(text["kl"]) == TOKENS and core["kl"] == pytest.approx(np.mean(text["kl"]))
        sized = optics.with_effective_bits(optics.serialise.load(given.core), core["effective_bits"])
        assert core["photons_per_mac"] == pytest.approx(float(optics.photons_per_mac(sized)))
        # Each decode step at its own context, by the price that `otc bill` has.
        prices = [
            float(Workload(config=model.config, phase="decode", context=len(prompt) + n).price(sized).total)
            for n in (1, 5, TOKENS - 1)
        ]
        assert prices[0] < prices[1] < prices[2]
        assert core["decode_j"] == pytest.approx((prices[0] + prices[2]) / 2 * (TOKENS - 1), rel=1e-5)
        prefill = Workload(config=model.config, phase="prefill", context=len(prompt)).price(sized)
        assert core["prefill_j"] == pytest.approx(float(prefill.total), rel=1e-6)

    printed = capsys.readouterr().out
    for name, text in (("digital", digital["text"]), ("2 bits ", dim["texts"][0]["text"])):
        lines = [line for line in printed.splitlines() if line.startswith(f"{name} │ ")]
        assert lines and all(len(line) <= 80 for line in lines)
        start = lines[0].removeprefix(f"{name} │ ")
        assert text.replace("\n", "↵").replace("\t", " ").startswith(start.replace("\ufffd", "")[:1])
    assert f"{dim['agreement']:.1%}" in printed
    (axes,) = drawn["generate"].axes
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["2 bits", "9 bits"]


def test_forced_agreement_is_that_after_the_digital_text(options, tmp_path):
    """A core without any effect follows the digital text to the end, and its programs hold the weights it loaded."""
    ideal = optics.today(rows=32, columns=32).replace({"effects": optics.Effects.only()})
    optics.serialise.save(ideal, tmp_path / "ideal.toml")
    summary = program.main(options(core=tmp_path / "ideal.toml", temperature=1.0, seed=3))
    (core,) = summary["cores"]
    assert core["texts"][0]["tokens"] == summary["digital"]["texts"][0]["tokens"]
    assert (core["agreement"], core["texts"][0]["first_divergence"]) == (1.0, None)
    assert max(core["texts"][0]["kl"]) < 1e-5


def test_followers_leave_and_are_still_led(byte_model):
    """After the texts part, the follower is asked after the digital text, whatever it has written itself."""
    model = models.load(byte_model, progress=False)
    prompt, key = model.prompt("The quick"), jax.random.key(5)
    steps = model.steps(64)
    digital = machines.Writer(steps, model.params, [prompt], key)
    follower = machines.Follower(steps, model.params, [prompt], key)
    greedy = models.Sampling()
    for number in range(4):
        digital.choose(greedy, key, ())
        follower.compare(digital, [True], greedy, key)
        follower.choose(greedy, key, ())
        if number == 1:
            tokens = follower.texts[0].tokens
            tokens[-1] = (tokens[-1] + 1) % 256
        digital.read()
        follower.follow(digital)
    (comparison,) = follower.comparisons
    assert comparison.agreed == [True] * 4
    assert max(comparison.kl) < 1e-6
    assert follower.first_divergence(digital, 0) == 1


PROMPTS = ("The quick", "a", "brown fox jumps")


@pytest.fixture
def prompts_file(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\n\n".join(PROMPTS) + "\n", encoding="utf-8")
    return path


def test_a_batch_with_attention_on_light_gives_the_texts_of_each_prompt_alone(
    options, prompts_file, tmp_path, drawn, capsys, monkeypatch
):
    """Padded, on a core without any effect, whose texts are the digital ones."""
    emulate, policies = optics.emulate, []
    monkeypatch.setattr(
        optics, "emulate", lambda fun, *, policy: policies.append(policy) or emulate(fun, policy=policy)
    )
    ideal = optics.today(rows=32, columns=32).replace({"effects": optics.Effects.only()})
    optics.serialise.save(ideal, tmp_path / "ideal.toml")
    given = options("", prompts=prompts_file, core=tmp_path / "ideal.toml", attention="light")
    summary = program.main(given)
    model = models.load(given.model, progress=False)
    lengths = [len(model.prompt(prompt)) for prompt in PROMPTS]
    assert summary["prompts"] == [{"text": text, "tokens": n} for text, n in zip(PROMPTS, lengths, strict=True)]
    steps = model.steps(64)
    for text, prompt in zip(summary["digital"]["texts"], PROMPTS, strict=True):
        alone = models.generate(steps, model.params, model.prompt(prompt), TOKENS, key=jax.random.key(0))
        assert text["tokens"] == list(alone)
    (core,) = summary["cores"]
    assert [text["tokens"] for text in core["texts"]] == [text["tokens"] for text in summary["digital"]["texts"]]
    assert core["agreement"] == 1.0 and core["kl"] < 1e-5
    assert {type(policy) for policy in policies} == {optics.AttentionOnLight}
    # Billed as a batch of the longest.
    given = {"config": model.config, "batch": 3, "attention": "light"}
    prefill = Workload(phase="prefill", context=max(lengths), **given).price(ideal)
    steps = [Workload(phase="decode", context=max(lengths) + n, **given).price(ideal) for n in range(1, TOKENS)]
    assert core["prefill_j"] == pytest.approx(float(prefill.total), rel=1e-6)
    assert core["decode_j"] == pytest.approx(sum(float(step.total) for step in steps), rel=1e-5)
    printed = capsys.readouterr().out
    assert "attention on light; 3 prompts of up to 15 tokens" in printed and "0 of 3" in printed
    assert [line for line in printed.splitlines() if line.startswith("> ")] == [f"> {prompt}" for prompt in PROMPTS]
    (axes,) = drawn["generate"].axes
    assert "(mean of 3 texts)" in axes.get_xlabel()


def test_a_stop_token_ends_the_text_and_chat_needs_a_template(options, chat_model):
    summary = program.main(options("Hi", model=chat_model, chat=True, tokens=40, temperature=2.0))
    model = models.load(chat_model, progress=False)
    assert summary["prompts"][0]["tokens"] == len(model.tokenizer.encode("[Hi]"))
    (digital,), (light,) = summary["digital"]["texts"], summary["cores"][0]["texts"]
    for text in (digital, light):
        stops = [n for n, token in enumerate(text["tokens"]) if token in model.prompts.stop_tokens]
        assert stops == ([len(text["tokens"]) - 1] if text["stopped"] else [])
    assert digital["stopped"]
    assert len(light["kl"]) == len(digital["tokens"])


@pytest.fixture
def chat_model(write_gguf, random_params, tensors, byte_config):
    """The tiny model with a chat template, and a stop token that is likely."""
    tokens = [*sorted(ByteLevel.alphabet()), "ab"]
    params = random_params(byte_config)
    # A long row of the tied head makes its token likely.
    params["embedding"] = params["embedding"].at[7].multiply(3.0)

    def edit(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(tokens)
        writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
        writer.add_token_merges(["a b"])
        writer.add_eos_token_id(7)
        writer.add_chat_template("[{{ messages[0]['content'] }}]")

    return write_gguf(tensors(byte_config, params), config=byte_config, edit=edit)


def test_interruption_keeps_what_is_written(byte_model, core_file, tmp_path, monkeypatch, capsys):
    read, calls = machines.Writer.read, []

    def interrupted(self):
        calls.append(self)
        if len(calls) > 6:
            raise KeyboardInterrupt
        read(self)

    monkeypatch.setattr(machines.Writer, "read", interrupted)
    arguments = ["--model", str(byte_model), "--core", str(core_file), "--tokens", "10", "--out", str(tmp_path / "out")]
    assert run(["generate", "The quick", *arguments]) == INTERRUPTED
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["interrupted"]
    assert len(summary["digital"]["texts"][0]["tokens"]) == 4 == len(summary["cores"][0]["texts"][0]["tokens"])
    captured = capsys.readouterr()
    assert "the texts up to here are in" in captured.err
    assert "digital │" in captured.out and "agreement" in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", "125"], "prompt has 9 tokens, and tokens = 125: together they are more than the context"),
        (["--temperature", "-1"], "temperature = -1.0 must be a finite number of at least 0"),
        (["--top-k", "0"], "top_k = 0 must be an integer from 1"),
        (["--top-p", "0"], "top_p = 0.0 must be above 0 and at most 1"),
        (["--tokens", "0"], "tokens = 0 must be a whole number, at least 1"),
        (["--light", "5", "20"], "light = 20.0 must be between 1 and 12 effective bits"),
        (["--light", "5", "--cores", "x.toml"], "the light of a design stands in its file"),
        (["--core", "digital.toml"], "core = digital.toml: 'digital' is the digital text; rename the file"),
        (["--chat"], "has no chat template"),
        (["--seed", "-1"], "seed = -1 must be"),
        (["--prompts", "x.txt"], "prompt = 'The quick' and prompts = x.txt: give one of them"),
    ],
)
def test_impossible_options_are_refused_before_the_model_is_read(
    arguments, message, byte_model, assert_refused, monkeypatch
):
    monkeypatch.setattr(models, "load", lambda path: pytest.fail("the model was read"))
    assert_refused(["generate", "The quick", "--model", str(byte_model), *arguments], message)


def test_an_empty_prompt_is_refused(byte_model, assert_refused):
    assert_refused(["generate", "", "--model", str(byte_model)], "prompt is empty")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n \n", "holds 0 prompts; 1 to 1024 are expected"),
        ("a\n" * 1025, "holds 1025 prompts; 1 to 1024 are expected"),
        ("ok\n" + 130 * "x", "prompt 2 of prompts.txt has 130 tokens, and tokens = 10: together they are more"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (None, "prompts.txt"),
    ],
)
def test_impossible_files_of_prompts_are_refused(content, message, byte_model, assert_refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_refused(["generate", "--prompts", "prompts.txt", "--model", str(byte_model), "--tokens", "10"], message)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("attention", ["digital", "light"])
def test_bill_of_short_texts(byte_config, count, attention):
    core, given = optics.today(rows=4, columns=4), {"config": byte_config, "batch": 2, "attention": attention}
    price = Bill(byte_config, 5, count, 2, attention).price(core)
    steps = [float(Workload(phase="decode", context=5 + n, **given).price(core).total) for n in range(1, count)]
    assert price.decode(count - 1) == pytest.approx(sum(steps), rel=1e-5)


def test_bill_of_windows_bends_where_a_window_is_full(byte_config):
    config, core = dataclasses.replace(byte_config, window=8, windowed=(True, False)), optics.today()
    price = Bill(config, 4, 11).price(core)
    steps = [float(Workload(config=config, phase="decode", context=4 + n).price(core).total) for n in range(1, 11)]
    for number in range(1, 11):
        assert price.decode(number) == pytest.approx(sum(steps[:number]), rel=1e-5)
    growth = np.diff(steps)
    assert growth[0] > 1.5 * growth[-1] > 0
