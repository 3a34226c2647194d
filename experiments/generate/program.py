"""`otc generate`: texts that a language model writes on light, beside the digital ones from the same weights."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

import models
from experiments.common import reporting
from experiments.common.candidates import check_design
from experiments.common.workload import attention_in_words
from experiments.generate import figure, report
from experiments.generate.bill import Bill
from experiments.generate.lines import Lines
from experiments.generate.machines import Follower, NamedCore, Run, Writer, steps_on_cores
from experiments.generate.options import GenerateOptions
from experiments.generate.records import GenerateSummary
from models.generation.loop import keys_of_run


class Prepared(NamedTuple):
    """What is known before any weight is read: the prompts, their tokens, the tokens that end a text, and the bill."""

    texts: list[str]
    prompts: list[np.ndarray]
    stop: tuple[int, ...]
    bill: Bill
    tokenizer: models.Tokenizer


def main(options: GenerateOptions) -> GenerateSummary:
    """Write the texts as they come, print the table, write summary.json and the figure, and return the summary.

    Raises:
        KeyboardInterrupt: where one stopped it; what is there is written before.
    """
    sampling = options.check()
    cores = options.machines()
    path = models.fetch_model() if options.model is None else options.model
    prepared = _prepare(options, path)
    for each in cores:
        check_design(each.core, prepared.bill.workloads)
    checkpoint = models.load(path)
    lengths = [len(prompt) for prompt in prepared.prompts]
    one = f"{lengths[0]} tokens of prompt"
    print(
        f"{options.model_name} on {options.core_name}{attention_in_words(options.attention)}; "
        f"{one if len(lengths) == 1 else f'{len(lengths)} prompts of up to {max(lengths)} tokens'}"
    )
    try:
        run = _started(checkpoint, cores, prepared, options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped before the first token; nothing is written") from None
    interrupted = False
    try:
        _write(run, prepared, sampling, options)
    except KeyboardInterrupt:
        interrupted = True
    tokenizer = prepared.tokenizer
    summary: GenerateSummary = {
        "model": options.model_name,
        "core": options.core_name,
        "attention": options.attention,
        "prompts": [{"text": text, "tokens": length} for text, length in zip(prepared.texts, lengths, strict=True)],
        "chat": options.chat,
        "tokens": options.tokens,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "seed": options.seed,
        "interrupted": interrupted,
        "digital": report.digital_record(tokenizer, run),
        "cores": report.core_records(tokenizer, run),
        "bill_rests_on": run.prices[0].basis,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.show(summary, options.out)
    if interrupted:
        raise KeyboardInterrupt(f"stopped; the texts up to here are in {options.out}/summary.json")
    return summary


def _prepare(options: GenerateOptions, path: Path) -> Prepared:
    """Read what files say of prompts, and check that the model's context holds them with their texts."""
    texts = options.texts()
    tokenizer, rules = models.read_prompts(path)
    encode = rules.encode_chat if options.chat else lambda tokenizer, text: tokenizer.encode(text, ends=True)
    prompts = [encode(tokenizer, text) for text in texts]
    config = models.read_config(path)
    for number, prompt in enumerate(prompts, 1):
        name = "prompt" if options.prompts is None else f"prompt {number} of {options.prompts}"
        if not len(prompt):
            raise ValueError(f"{name} is empty; it must have at least 1 token")
        if len(prompt) + options.tokens > config.context:
            raise ValueError(
                f"{name} has {len(prompt)} tokens, and tokens = {options.tokens}: together they are more than the "
                f"context of {options.model_name}, {config.context} tokens"
            )
    longest = max(map(len, prompts))
    bill = Bill(config, longest, options.tokens, len(prompts), options.attention)
    return Prepared(texts, prompts, rules.stop_tokens, bill, tokenizer)


def _started(
    checkpoint: models.Checkpoint, cores: Sequence[NamedCore], prepared: Prepared, options: GenerateOptions
) -> Run:
    """All machines, with the prompts read."""
    noise, _ = keys_of_run(jax.random.key(options.seed))
    prompts, bill = prepared.prompts, prepared.bill
    room = max(map(len, prompts)) + options.tokens
    on_core = steps_on_cores(checkpoint, room, bill, options.attention)
    with tqdm(total=1 + len(cores), desc="reading the prompt", unit="machine", leave=False) as bar:
        digital = Writer(checkpoint.steps(room), checkpoint.params, prompts, noise)
        bar.update()
        followers = []
        for each in cores:
            followers.append(Follower(on_core(each.core), checkpoint.params, prompts, noise))
            bar.update()
    return Run(digital, followers, list(cores), [bill.price(each.core) for each in cores])


def _write(run: Run, prepared: Prepared, sampling: models.Sampling, options: GenerateOptions) -> None:
    """Write the texts token by token. One is shown line by line as it comes, several one after the other at the end."""
    writers = {report.DIGITAL: run.digital, **run.writers}
    lines, decode = Lines(list(writers)), prepared.tokenizer.decode
    alone = len(prepared.texts) == 1
    _, choice = keys_of_run(jax.random.key(options.seed))
    with tqdm(total=options.tokens, unit="token", desc="writing", leave=False) as bar:
        try:
            for number in range(options.tokens):
                _one_token(run, sampling, prepared.stop, jax.random.fold_in(choice, number))
                if alone:
                    _show(lines.update({name: decode(writer.texts[0].tokens) for name, writer in writers.items()}))
                bar.update()
                bar.set_postfix_str(", ".join(report.progress(run)))
                if all(writer.stopped for writer in writers.values()):
                    break
                if number + 1 < options.tokens:
                    if not run.digital.stopped:
                        run.digital.read()
                    for follower in run.followers:
                        follower.follow(run.digital)
        finally:
            _show(lines.flush() if alone else report.texts_of_batch(prepared.tokenizer, prepared.texts, run))


def _one_token(run: Run, sampling: models.Sampling, stop: tuple[int, ...], key: jax.Array) -> None:
    """Each machine that goes on chooses tokens, by the same draws."""
    compared = [not text.stopped for text in run.digital.texts]
    if any(compared):
        run.digital.choose(sampling, key, stop)
    for follower in run.followers:
        if any(compared):
            follower.compare(run.digital, compared, sampling, key)
        if not follower.stopped:
            follower.choose(sampling, key, stop)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
