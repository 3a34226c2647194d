"""`otc workloads`: one price with `otc bill` and `otc serve`, vectors per load, shapes, verdicts, and the program."""

import json

import numpy as np
import pytest

import models
import optics
from experiments.common.billing import token_bills
from experiments.common.workload import Workload
from experiments.results import tables
from experiments.serving.model import Range, predict, system_named
from experiments.serving.optical import OpticalSystem
from experiments.serving.rows import precision_of
from experiments.workloads import program, resnet
from experiments.workloads.networks import MINILM, Network, network_named
from experiments.workloads.options import WorkloadsOptions
from experiments.workloads.rows import verdict_of
from experiments.workloads.served import served
from experiments.workloads.tasks import tasks

SMALL = "smollm2-135m"


@pytest.fixture(scope="module")
def core():
    return optics.projected_2029()


@pytest.mark.parametrize("attention", ["digital", "light"])
def test_bills_are_those_of_otc_bill(core, attention):
    options = WorkloadsOptions(
        models=(SMALL,),
        prompts=(2048,),
        batches=(8,),
        mixtures=("qwen3-30b-a3b",),
        mixture_batches=(8,),
        context=2048,
        networks=(),
        attention=attention,
    )
    for name in (SMALL, "qwen3-30b-a3b"):
        priced = [task for task in tasks(options) if task.model == name]
        bills = token_bills(core, (name,), 2048, 8, attention=attention)
        assert [task.work.phase for task in priced] == [bill["phase"] for bill in bills] == ["prefill", "decode"]
        for task, bill in zip(priced, bills, strict=True):
            found = task.price(core)
            assert float(found.total) / task.items == pytest.approx(bill["joules_per_token"], rel=1e-6)
            assert float(found.per_mac) * 1e15 == pytest.approx(bill["fj_per_mac"], rel=1e-6)
            served_vectors, least = task.vectors(core)
            assert served_vectors == (8 if task.work.phase == "decode" else 16384)
            assert least == (bill["vectors_per_expert"] or served_vectors)


def test_prompts_of_fewer_tokens_than_a_load_serves_are_billed_for_those(core):
    (task,) = tasks(WorkloadsOptions(models=(SMALL,), prompts=(2048,), batches=(), mixtures=(), networks=(), batch=1))
    few = core.replace({"vectors_per_load": 2048.0})
    expected = task.work.price(few)
    assert float(task.price(core).total) == pytest.approx(float(expected.total), rel=1e-6)
    assert float(expected.total) > 1.001 * float(task.work.price(core).total)
    assert task.vectors(core) == (2048, 2048)
    # A core whose masks stay for less keeps what it has.
    fewer = core.replace({"vectors_per_load": 100.0})
    assert float(task.price(fewer).total) == pytest.approx(float(task.work.price(fewer).total), rel=1e-6)
    assert task.vectors(fewer) == (100, 100)


@pytest.mark.parametrize("name", ["h200", "b200", "rubin", "light"])
@pytest.mark.parametrize(("model", "batch"), [("llama-3.1-8b", 1), ("llama-3.1-8b", 64), ("qwen3-30b-a3b", 16)])
def test_phases_add_up_to_the_request_of_otc_serve(core, name, model, batch):
    """A request of 2,047 tokens in and 2 out is its prompt and two tokens that see 2,048 keys on average."""
    system = OpticalSystem(name="light", core=core) if name == "light" else system_named(name)
    config = models.CONFIGS[model]
    read = served(system, Workload(config=config, context=2047, batch=batch))
    written = served(system, Workload(config=config, phase="decode", context=2048, batch=batch))
    assert read.chips == written.chips
    whole = predict(
        system.name if name != "light" else system,
        config,
        precision=precision_of(system),
        prompt=2047,
        output=2,
        batch=batch,
        chips=read.chips,
    ).j_per_token
    for end in ("nominal", "low", "high"):
        added = 2047 * getattr(read.joules, end) + 2 * getattr(written.joules, end)
        assert added / 2 == pytest.approx(getattr(whole, end), rel=1e-9), end
    assert 0 < read.idle_share < 1
    assert 0 < written.idle_share < 1


def test_digital_products_stay_the_work_of_the_server_with_attention_on_light(core):
    system = OpticalSystem(name="light", core=core)
    given = {"config": models.CONFIGS[SMALL], "context": 512, "batch": 2}
    assert served(system, Workload(**given)) == served(system, Workload(**given, attention="light"))


def _resnet_by_hand() -> tuple[int, int]:
    """(multiply-accumulates, weights) of ResNet-50 v1.5 at 224 x 224, from the table of the paper."""
    macs, weights = 112 * 112 * 7 * 7 * 3 * 64, 7 * 7 * 3 * 64
    channels, side = 64, 56
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            out = side // 2 if block == 0 and width > 64 else side
            layers = [
                (side, 1, channels, width),
                (out, 3, width, width),
                (out, 1, width, 4 * width),
                *([(out, 1, channels, 4 * width)] if block == 0 else []),
            ]
            macs += sum(size * size * kernel * kernel * a * b for size, kernel, a, b in layers)
            weights += sum(kernel * kernel * a * b for _, kernel, a, b in layers)
            channels, side = 4 * width, out
    return macs + 2048 * 1000, weights + 2048 * 1000


def test_resnet_has_the_published_size():
    """4.09 GMACs and 25,557,032 parameters, of which 26,560 are factors of batch normalisation, folded here."""
    macs, weights = _resnet_by_hand()
    network = Network(shapes=network_named("resnet-50"))
    assert sum(site.macs for site in network.sites) == 512 * macs
    assert round(macs / 1e9, 2) == 4.09
    assert network.weights == weights
    biases = sum(np.prod(leaf.shape) for leaf in _leaves(resnet.parameter_shapes()) if len(leaf.shape) == 1)
    assert weights + biases == 25_557_032 - 26_560
    assert all(site.optical and not site.reason for site in network.sites)
    assert network.least_vectors == 512


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    return [leaf for value in tree for leaf in _leaves(value)] if isinstance(tree, list) else [tree]


def test_minilm_has_the_published_size():
    """22,713,216 parameters with the pooler of 384 x 384 and its bias, which sentence embeddings do without."""
    ours = sum(np.prod(leaf.shape) for leaf in _leaves(models.encoder_shapes(MINILM)))
    assert ours + 384 * 385 == 22_713_216


def test_masks_of_a_network_serve_no_more_vectors_than_its_batch_has(core):
    """Each product alone, on a core whose masks stay for its vectors or for those of the core, whichever is less."""
    network = Network(shapes=network_named("resnet-50"))
    bill = network.price(core)
    alone = 0.0
    for number, site in enumerate(network.sites):
        capped = core.replace({"vectors_per_load": float(min(site.vectors, 16384))})
        first = number == 0
        beside = {"operations": network.operations, "memory_bits": network.shapes.memory_bits} if first else {}
        alone += float(optics.price(capped, [site], **beside).total)
    assert float(bill.total) == pytest.approx(alone, rel=1e-5)
    assert bill.vectors_per_load is None
    together = optics.price(core, network.sites, operations=network.operations, memory_bits=network.shapes.memory_bits)
    assert float(bill.total) > float(together.total)
    assert float(bill.macs) == float(together.macs)
    assert set(bill.components) == set(together.components)


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (Range(0.5, 0.2, 0.99), "light"),
        (Range(2.0, 1.01, 9.0), "digital"),
        (Range(0.5, 0.2, 1.0), "cannot be told apart"),
        (Range(1.5, 1.0, 2.0), "cannot be told apart"),
    ],
)
def test_verdict_needs_a_range_without_one(ratio, verdict):
    assert verdict_of(ratio) == verdict


def test_program_writes_rows_notes_and_a_figure(tmp_path, drawn, nothing_collides, capsys):
    options = WorkloadsOptions(
        models=(SMALL,),
        prompts=(512,),
        batches=(4, 4096),
        context=512,
        mixtures=(),
        networks=("minilm",),
        machines=("b200", "rubin"),
        draws=4,
        out=tmp_path / "out",
    )
    summary = program.main(options)
    assert summary == json.loads((options.out / "summary.json").read_text(encoding="utf-8"))
    nothing_collides(drawn["workloads"])
    prompt, decode, refused, minilm = summary["rows"]
    for row in (prompt, decode):
        for found in row["against"].values():
            assert found["like"]
            assert found["ratio"]["nominal"] == pytest.approx(
                row["served"]["joules"]["nominal"] / found["joules"]["nominal"]
            )
            assert found["ratio"]["low"] == pytest.approx(row["served"]["joules"]["low"] / found["joules"]["high"])
            assert found["bill_ratio"]["nominal"] < found["ratio"]["nominal"]
        bill = row["bill"]
        assert bill["joules"]["low"] < bill["joules"]["nominal"] < bill["joules"]["high"]
        assert sum(bill["components_j"].values()) == pytest.approx(bill["joules"]["nominal"], rel=1e-5)
        assert bill["components_j"][bill["dominant"]] == max(bill["components_j"].values())
        assert bill["watts_at_exaops"] == pytest.approx(bill["fj_per_mac"] * 1e-15 * 5e17, rel=1e-6)
    assert refused["served"] is None
    assert refused["against"] == {"b200": None, "rubin": None}
    assert minilm["against"]["rubin"] is None
    assert not minilm["against"]["b200"]["like"]
    assert minilm["against"]["b200"]["joules"]["nominal"] == pytest.approx(1.10e-12 * minilm["bill"]["macs"])
    header, *cells = tables.workloads(summary)
    assert header[-2:] == ["light / b200", "light / rubin"]
    assert [len(row) for row in cells] == [len(header)] * 4
    assert cells[2][-2:] == ["none", "none"]
    assert cells[3][-2].endswith(" *")
    assert ("**" in cells[0][-2]) == (prompt["against"]["b200"]["verdict"] != "cannot be told apart")
    printed = " ".join(capsys.readouterr().out.split())
    assert "batch = 4096 is more than 2048" in printed
    assert "No figure of rubin: no published energy per MAC (MiniLM-L6, 128 tokens)" in printed
    assert "Not like beside like: networks without a serving model" in printed


def test_design_and_attention_on_light_are_compared_by_their_bill(core, tmp_path, drawn, nothing_collides):
    optics.serialise.save(core.replace({"source.power": 2e-3}), tmp_path / "first.toml")
    optics.serialise.save(core, tmp_path / "second.toml")
    design = tmp_path / "design.toml"
    design.write_text(
        'core = "first.toml"\n[[site]]\nsites = ["head", "embedding"]\ncore = "second.toml"\n', encoding="utf-8"
    )
    options = WorkloadsOptions(
        cores=design,
        attention="light",
        models=(SMALL,),
        prompts=(512,),
        batches=(),
        mixtures=(),
        networks=(),
        machines=("h200",),
        draws=2,
        out=tmp_path / "out",
    )
    summary = program.main(options)
    nothing_collides(drawn["workloads"])
    (row,) = summary["rows"]
    found = row["against"]["h200"]
    assert row["served"] is None
    assert row["bill"]["light_share"] == 1.0
    assert not found["like"]
    assert found["ratio"] == found["bill_ratio"]
    by_bill = token_bills(
        optics.load_by_site(design).replace({"vectors_per_load": 4096.0}), (SMALL,), 512, 8, attention="light"
    )
    assert row["bill"]["joules"]["nominal"] == pytest.approx(by_bill[0]["joules_per_token"], rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--machines", "h20"], "no system 'h20'; did you mean"),
        (["--models", "mixtral-8x7b"], "models = 'mixtral-8x7b' is a mixture of experts"),
        (["--mixtures", "llama-3.1-8b"], "mixtures = 'llama-3.1-8b' has no experts"),
        (["--networks", "resnet"], "no network 'resnet'"),
        (["--draws", "3"], "draws = 3 must be a power of two"),
        (["--models", "--mixtures", "--networks"], "no workload is left"),
        (["--prompts", "200000"], "context = 200000 is more than the model's 131072"),
        (["--machines"], "machines must name at least one"),
        (["--core", "a.toml", "--cores", "b.toml"], "give one of them"),
    ],
)
def test_wrong_options_are_refused_in_one_line(arguments, message, assert_refused):
    assert_refused(["workloads", *arguments], message)
