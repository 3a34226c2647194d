"""`otc generate`: a text that a language model writes on light, beside the digital one from the same weights."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import tyro
from tqdm import tqdm

import models
import optics
from experiments.common import reporting
from experiments.common.candidates import check_design, load_machine
from experiments.common.options import check_folder, check_integer, check_seed
from experiments.generate import figure, report
from experiments.generate.bill import Bill
from experiments.generate.lines import Lines
from experiments.generate.machines import Follower, NamedCore, Run, Writer, steps_on_cores
from experiments.generate.records import GenerateSummary
from models.generation.loop import keys_of_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Text that a language model writes on light, beside the digital one, with agreement and energy."""

    prompt: tyro.conf.Positional[str]
    """What the model continues; with --chat, what it answers."""
    preset: str = "projected_2029"
    """Optical preset or device."""
    core: Path | None = None
    """A core of your own instead, .toml or .json."""
    cores: Path | None = None
    """A design with a core for each site instead, .toml (docs/guide/cores.md)."""
    light: tuple[float, ...] = ()
    """Effective bits against the product's own rms that size the light, a text for each; without it the light that the
    core has."""
    model: Path | None = None
    """A Hugging Face folder or a GGUF file of a supported family; without it SmolLM2-135M-Instruct is fetched."""
    chat: bool = False
    """Put the prompt into the chat template of the checkpoint."""
    tokens: int = 64
    """Tokens to write, fewer where the model ends its text."""
    temperature: float = 0.0
    """Of the draw of a token; 0 takes the most likely one."""
    top_k: int | None = None
    """Draw among so many most likely tokens only."""
    top_p: float = 1.0
    """Draw among the most likely tokens that hold this share of the probability only."""
    seed: int = 0
    """Seed of noise and draw, which are the same for all cores."""
    out: Path = Path("runs/generate")
    """Folder for summary.json and the figure."""

    def check(self) -> models.Sampling:
        """Return the sampling. Raises ValueError for an option out of range, with its name and the range."""
        check_integer("tokens", self.tokens, 1)
        check_seed("seed", self.seed)
        check_folder("out", self.out)
        for bits in self.light:
            if not 1 <= bits <= 12:
                raise ValueError(f"light = {bits} must be between 1 and 12 effective bits")
        if self.light and self.cores is not None:
            raise ValueError(f"light = {self.light} and cores = {self.cores}: the light of a design stands in its file")
        if self.core_name == report.DIGITAL:
            raise ValueError(
                f"core = {self.cores or self.core}: {report.DIGITAL!r} is the digital text; rename the file"
            )
        return models.Sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)

    def machines(self) -> list[NamedCore]:
        """Return the cores that write."""
        core = load_machine(self.preset, self.core, self.cores)
        if not self.light or isinstance(core, optics.CoresBySite):
            return [NamedCore(self.core_name, None, core)]
        levels = dict.fromkeys(self.light)
        return [NamedCore(f"{bits:g} bits", bits, optics.with_effective_bits(core, bits)) for bits in levels]

    @property
    def core_name(self) -> str:
        """Name of the core, for titles."""
        own = self.cores or self.core
        return self.preset if own is None else own.stem

    @property
    def model_name(self) -> str:
        """Name of the model, for titles."""
        return str(self.model or "SmolLM2-135M-Instruct")


def main(options: GenerateOptions) -> GenerateSummary:
    """Write the texts as they come, print the table, write summary.json and the figure, and return the summary.

    Raises:
        KeyboardInterrupt: where one stopped it; what is there is written before.
    """
    sampling = options.check()
    cores = options.machines()
    path = models.fetch_model() if options.model is None else options.model
    prompt, stop, bill = _prepare(options, path)
    for each in cores:
        check_design(each.core, bill.workloads)
    checkpoint = models.load(path)
    print(f"{options.model_name} on {options.core_name}; {len(prompt)} tokens of prompt")
    try:
        run = _started(checkpoint, cores, prompt, bill, options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped before the first token; nothing is written") from None
    interrupted = False
    try:
        _write(run, checkpoint.tokenizer, sampling, stop, options)
    except KeyboardInterrupt:
        interrupted = True
    summary: GenerateSummary = {
        "model": options.model_name,
        "core": options.core_name,
        "prompt": options.prompt,
        "chat": options.chat,
        "prompt_tokens": len(prompt),
        "tokens": options.tokens,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "seed": options.seed,
        "interrupted": interrupted,
        "digital": report.text_record(checkpoint.tokenizer, run.digital),
        "cores": report.core_records(checkpoint.tokenizer, run),
        "bill_rests_on": run.prices[0].basis,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.show(summary, options.out)
    if interrupted:
        raise KeyboardInterrupt(f"stopped; the texts up to here are in {options.out}/summary.json")
    return summary


def _prepare(options: GenerateOptions, path: Path) -> tuple[np.ndarray, tuple[int, ...], Bill]:
    """The tokens of the prompt, the stop tokens and the bill, before any weight is read."""
    tokenizer, rules = models.read_prompts(path)
    text = options.prompt
    prompt = rules.encode_chat(tokenizer, text) if options.chat else tokenizer.encode(text, ends=True)
    config = models.read_config(path)
    if not len(prompt):
        raise ValueError("prompt is empty; it must have at least 1 token")
    if len(prompt) + options.tokens > config.context:
        raise ValueError(
            f"a prompt of {len(prompt)} tokens and tokens = {options.tokens} are more than the context of "
            f"{options.model_name}, {config.context} tokens"
        )
    return prompt, rules.stop_tokens, Bill(config, len(prompt), options.tokens)


def _started(
    checkpoint: models.Checkpoint, cores: Sequence[NamedCore], prompt: np.ndarray, bill: Bill, options: GenerateOptions
) -> Run:
    """All machines, with the prompt read."""
    noise, _ = keys_of_run(jax.random.key(options.seed))
    room = len(prompt) + options.tokens
    on_core = steps_on_cores(checkpoint, room)
    with tqdm(total=1 + len(cores), desc="reading the prompt", unit="machine", leave=False) as bar:
        digital = Writer(checkpoint.steps(room), checkpoint.params, prompt, noise)
        bar.update()
        followers = []
        for each in cores:
            followers.append(Follower(on_core(each.core), checkpoint.params, prompt, noise))
            bar.update()
    return Run(digital, followers, list(cores), [bill.price(each.core) for each in cores])


def _write(
    run: Run, tokenizer: models.Tokenizer, sampling: models.Sampling, stop: tuple[int, ...], options: GenerateOptions
) -> None:
    """Write the texts token by token, and show them line by line."""
    writers = {report.DIGITAL: run.digital} | {
        core.name: each for core, each in zip(run.cores, run.followers, strict=True)
    }
    lines = Lines(list(writers))
    _, choice = keys_of_run(jax.random.key(options.seed))
    with tqdm(total=options.tokens, unit="token", desc="writing", leave=False) as bar:
        try:
            for number in range(options.tokens):
                _one_token(run, sampling, stop, jax.random.fold_in(choice, number))
                _show(lines.update({name: tokenizer.decode(writer.tokens) for name, writer in writers.items()}))
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
            _show(lines.flush())


def _one_token(run: Run, sampling: models.Sampling, stop: tuple[int, ...], key: jax.Array) -> None:
    """Each machine that goes on chooses a token, by the same draw."""
    compared = not run.digital.stopped
    if compared:
        run.digital.choose(sampling, key, stop)
    for follower in run.followers:
        if compared:
            follower.compare(run.digital, sampling, key)
        if not follower.stopped:
            follower.choose(sampling, key, stop)


def _show(lines: list[str]) -> None:
    for line in lines:
        tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
