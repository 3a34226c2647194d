"""The workloads of the table: prompts and decoded tokens of language models, and other networks."""

import dataclasses
from collections.abc import Iterator

import optics
from experiments.common.workload import Attention, Phase, Workload, shapes_named
from experiments.workloads.networks import Network, capped_vectors, network_named
from experiments.workloads.options import WorkloadsOptions
from optics.core.by_site import Machine, cores_by_name


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A row of the table before it is priced.

    Attributes:
        title: in tables and figures.
        group: of workloads, as the figure names it.
        item: what energies are per: "token", "text" or "image".
        model: name of the model or network.
        work: what is run.
        items: in a call.
    """

    title: str
    group: str
    item: str
    model: str
    work: Workload | Network
    items: int

    def price(self, machine: Machine, chosen_by: Machine | None = None) -> optics.Bill:
        """Return the bill of a call, on masks that serve no more vectors than the call has.

        With at least `vectors_per_load` tokens in a prompt batch it is the bill of `otc bill`.

        Args:
            machine: core or design.
            chosen_by: the core or design whose bill chooses the operand on the mask, and whose vectors are counted;
                `machine` unless given.
        """
        nominal = chosen_by or machine
        if isinstance(self.work, Workload):
            changes = capped_vectors(nominal, float(self.work.tokens))
            return self.work.price(machine.replace(changes), chosen_by=nominal.replace(changes))
        return self.work.price(machine, nominal)

    def vectors(self, machine: Machine) -> tuple[float, float]:
        """(vectors that a load of a mask serves, those of the site with the fewest)."""
        most = max(float(core.vectors_per_load) for core in cores_by_name(machine).values())
        if isinstance(self.work, Network):
            return most, min(most, float(self.work.least_vectors))
        served = float(self.work.tokens) if self.work.phase == "decode" else min(most, float(self.work.tokens))
        of_expert = self.work.vectors_per_expert(served)
        return served, served if of_expert is None else of_expert


def tasks(options: WorkloadsOptions) -> list[Task]:
    """Return the workloads of the options.

    Raises:
        ValueError: if there is none, or a prompt is longer than the context of a model.
    """
    found = [*_language(options), *_networks(options)]
    if not found:
        raise ValueError("no workload is left: give models, mixtures or networks")
    return found


def _language(options: WorkloadsOptions) -> Iterator[Task]:
    for name in options.models:
        for prompt in options.prompts:
            yield _language_task(name, "prefill", prompt, options.batch, "Prefill", options.attention)
    for name in options.models:
        for batch in options.batches:
            yield _language_task(name, "decode", options.context, batch, "Decode", options.attention)
    if not options.mixtures:
        return
    for name in options.mixtures:
        yield _language_task(
            name, "prefill", options.context, options.batch, "Mixtures of experts, prefill", options.attention
        )
    for name in options.mixtures:
        for batch in options.mixture_batches:
            yield _language_task(
                name, "decode", options.context, batch, "Mixtures of experts, decode", options.attention
            )


def _language_task(name: str, phase: Phase, context: int, batch: int, group: str, attention: Attention) -> Task:
    work = Workload(config=shapes_named(name), phase=phase, context=context, batch=batch, attention=attention)
    what = f"{_short(context)} prompt" if phase == "prefill" else f"batch {batch}"
    return Task(title=f"{_titled(name)}, {what}", group=group, item="token", model=name, work=work, items=work.tokens)


def _networks(options: WorkloadsOptions) -> Iterator[Task]:
    for name in options.networks:
        shapes = network_named(name)
        yield Task(
            title=shapes.title,
            group="Other networks",
            item=shapes.item,
            model=name,
            work=Network(shapes=shapes, attention=options.attention),
            items=shapes.batch,
        )


def _short(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else f"{tokens:,}"


TITLES = {
    "llama-3.1-8b": "Llama 3.1 8B",
    "llama-3.1-70b": "Llama 3.1 70B",
    "llama-3.1-405b": "Llama 3.1 405B",
    "mixtral-8x7b": "Mixtral 8x7B",
    "qwen3-30b-a3b": "Qwen3 30B-A3B",
    "deepseek-v3": "DeepSeek-V3",
}


def _titled(name: str) -> str:
    return TITLES.get(name, name)
