"""The comparison of serving machines: workloads, rows, what is said of them, and what is refused."""

import json

import pytest

import models
import optics
from experiments.commands import run
from experiments.serving.model import SYSTEMS, predict
from experiments.serving.report import sentences
from experiments.serving.rows import best, rows
from experiments.serving.shift import shifts
from experiments.serving.workloads import WORKLOADS, from_trace, workload_named

SHAPE = models.CONFIGS["llama-3.1-8b"]
FEW = [SYSTEMS[name] for name in ("h100", "b200", "groq")]


@pytest.fixture(scope="module")
def assistant():
    return rows(WORKLOADS["assistant"], SHAPE, FEW, (1, 16, 256))


def test_a_machine_alone_is_what_predict_says(assistant):
    row = next(row for row in assistant if row.name == "b200" and row.batch == 16)
    found = predict("b200", SHAPE, precision="fp8", chips=1, batch=16, prompt=1024, output=256)
    for name in ("ttft_s", "tpot_s", "tokens_per_s", "j_per_token"):
        assert getattr(row, name) == getattr(found, name)
    kilowatts = SYSTEMS["b200"].at(1).nameplate_watts / 1e3
    assert row.tokens_per_s_per_kw.nominal == pytest.approx(found.tokens_per_s.nominal / kilowatts)


def test_all_machines_and_all_pairs_are_there(assistant):
    at_one = {(row.prefill, row.decode) for row in assistant if row.batch == 1}
    assert at_one == {(p.name, d.name) for p in FEW for d in FEW}


def test_decode_is_split_where_one_keeps_the_cache_and_the_other_has_no_memory(assistant):
    split = {row.name for row in assistant if row.split}
    assert split == {"h100 / groq", "b200 / groq"}
    row = next(row for row in assistant if row.name == "b200 / groq" and row.batch == 16)
    # 131 kB there and back in each of 32 layers, at 1.5 nJ a byte.
    assert row.parts["transfer_j"] == pytest.approx(2 * 32 * 4096 * 2 * 1.5e-9)


def test_parts_are_the_whole(assistant):
    for row in assistant:
        assert sum(row.parts.values()) == pytest.approx(row.j_per_token.nominal)
        assert (row.parts["transfer_j"] > 0) == (row.prefill != row.decode)


def test_the_best_keep_the_limits_and_are_the_best(assistant):
    found = list(best(assistant))
    rates = [row.tokens_per_s_per_kw.nominal for row in found]
    assert rates == sorted(rates, reverse=True) and len({row.name for row in found}) == len(found)
    for row in found:
        assert row.ttft_s.nominal <= 2 and row.tpot_s.nominal <= 0.1
        others = [r.tokens_per_s_per_kw.nominal for r in assistant if r.name == row.name and r.within_limits]
        assert row.tokens_per_s_per_kw.nominal == max(others)


def test_what_cannot_keep_a_limit_is_said(tmp_path):
    trace = tmp_path / "slow.csv"
    trace.write_text("prompt,output\n1000,100\n")
    workload = from_trace(trace, tpot_limit=1e-6)
    found = rows(workload, SHAPE, FEW, (1,))
    assert found and not list(best(found))
    assert "Nothing here serves it" in sentences(workload, found)[0]


def test_a_model_too_large_for_a_batch_has_no_row():
    """405B and 2,048 prompts of 120,000 tokens: 250 TB of keys and values fit in no rack here."""
    assert not rows(WORKLOADS["code"], models.CONFIGS["llama-3.1-405b"], FEW, (2048,))


def test_a_trace_is_its_mean_request(tmp_path):
    trace = tmp_path / "mine.csv"
    trace.write_text("prompt,output,cached\n1000,100,500\n3000,300,1500\n")
    request = from_trace(trace).request
    assert (request.prompt, request.output, request.cached) == (2000, 200, 1000)


def test_a_trace_in_the_columns_of_azure_is_read_as_it_is(tmp_path):
    """The first lines of AzureLLMInferenceTrace_conv.csv, with its line ends, and a request without an answer."""
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:15:46.6805900,374,44"]
    lines += ["2023-11-16 18:15:50.9951690,396,109", "2023-11-16 18:15:51.2224670,879,0"]
    trace = tmp_path / "conv.csv"
    trace.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    workload = from_trace(trace, ttft_limit=2.0)
    assert (workload.request.prompt, workload.request.output, workload.request.cached) == (385, 76, 0)
    assert workload.title == "Trace conv, mean of 2 requests, 1 without tokens left out"
    assert workload.ttft_limit == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,output\n10,-3\n", r"mine.csv, line 2: output = -3 must be at least 1"),
        ("prompt,output\n10,3\nten,3\n", r"mine.csv, line 3: prompt = 'ten' must be a whole number of tokens"),
        ("prompt,output\n10\n", r"mine.csv, line 2: output = None must be"),
        ("prompt\n10\n", "its columns are prompt; a trace has prompt, output and may have cached, or has TIMESTAMP"),
        ("", "its columns are none"),
        ("TIMESTAMP,ContextTokens\n2023-11-16 18:15:46,10\n", "its columns are TIMESTAMP, ContextTokens; a trace"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,10,-1\n", "line 2: output = -1 must be"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,0,1\n", "no requests"),
        ("prompt,output\n", "no requests"),
    ],
)
def test_a_bad_trace_is_one_clear_line(tmp_path, text, message):
    trace = tmp_path / "mine.csv"
    trace.write_text(text)
    with pytest.raises(ValueError, match=message):
        from_trace(trace)


def test_every_number_of_a_workload_has_a_source():
    for workload in WORKLOADS.values():
        assert {"prompt", "output"} <= set(workload.constants)
        assert all(constant.source for constant in workload.constants.values())
    with pytest.raises(ValueError, match="did you mean 'assistant'"):
        workload_named("asistant")


def test_program_writes_summary_and_figures(tmp_path, drawn, nothing_collides, capsys):
    arguments = [
        "serve",
        "--model",
        "llama-3.1-8b",
        "--systems",
        "h100",
        "groq",
        "--workloads",
        "assistant",
        "reasoning",
    ]
    assert run([*arguments, "--batches", "1", "64", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {row["workload"] for row in summary["rows"]} == {"assistant", "reasoning"}
    row = summary["rows"][0]
    wanted = {"prefill", "decode", "batch", "ttft_s", "tpot_s", "tokens_per_s", "j_per_token"}
    assert wanted <= set(row) and set(row["j_per_token"]) == {"nominal", "low", "high"}
    assert "watts" not in summary["assumed"]["h100"] and summary["assumed"]["groq"]
    for name in ("serve", "serve_joules", "serve_shift"):
        assert (tmp_path / f"{name}.png").is_file() and (tmp_path / f"{name}.pdf").is_file()
    for figure in drawn.values():
        nothing_collides(figure)
    assert_latency_panels(drawn["serve"], summary)
    assert_joule_bars(drawn["serve_joules"], summary)
    printed = capsys.readouterr().out
    assert "best single machine" in printed
    assert printed.splitlines()[-1] == summary["light"] and summary["light"].startswith("Light ")
    for name in ("assistant", "reasoning"):
        workload = summary["workloads"][name]
        assert [each["title"] for each in workload["announced"]][:2] == ["Nvidia GPU + Groq LPU", "Trainium + Cerebras"]
        assert workload["light"]["sentence"] in summary["light"]
    assert summary["accuracy"]["optical_today"]["delta_nll"] == 0.404
    overtaking, scale = drawn["serve_overtake"].axes
    assert overtaking.get_xlabel() == "fJ per MAC on light, at the plug"
    ticks = [float(tick.get_text()) for tick in scale.get_yticklabels()]
    assert ticks and all(f"{tick:e}"[0] in "1235" and float(f"{tick:.0e}") == tick for tick in ticks)
    *panels, bar = drawn["serve_shift"].axes
    assert bar.get_ylabel().endswith("[%]") and bar.get_ylim() == (0, 100)
    assert [axes.get_title(loc="left") for axes in panels]


def name_of(row):
    if row["prefill"] == row["decode"]:
        return row["decode"]
    return f"{row['prefill']} {'/' if row['split'] else '+'} {row['decode']}"


def assert_latency_panels(figure, summary):
    """A panel per workload: a dot per machine and pair at its best batch, fronts, and names of the best of both."""
    workloads = ("assistant", "reasoning")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [WORKLOADS[name].title for name in workloads]
    for axes, name in zip(figure.axes, workloads, strict=True):
        kept = [row for row in summary["rows"] if row["workload"] == name and row["kept"]]
        for marker, paired in (("o", False), ("^", True)):
            own = {name_of(row) for row in kept if (row["prefill"] != row["decode"]) is paired}
            dots = [line for line in axes.lines if line.get_marker() == marker]
            assert sum(len(line.get_xdata()) for line in dots) == min(len(own), 20 if paired else len(own))
            if own:
                mine = [row for row in kept if name_of(row) in own]
                first = max(mine, key=lambda row: row["tokens_per_s_per_kw"]["nominal"])
                assert f"best: {name_of(first)}" in [text.get_text() for text in axes.texts]
    (legend,) = figure.legends
    entries = {text.get_text() for text in legend.get_texts()}
    assert {"one machine: front of all", "a named machine, by batch"} <= entries


def assert_joule_bars(figure, summary):
    """Bars are the least energies within the limits, in rising order, each the sum of its four parts."""
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    totals = [sum(container[place].get_width() for container in axes.containers[:4]) for place in range(len(names))]
    assert totals == sorted(totals)
    rows = [row for row in summary["rows"] if row["workload"] == "assistant" and row["kept"]]
    for name, total in zip(names, totals, strict=True):
        own = [row["j_per_token"]["nominal"] for row in rows if name_of(row) == name]
        assert any(total == pytest.approx(joules) for joules in own)


def test_a_fleet_keeps_all_where_it_was_sized_and_loses_where_not():
    """One prefill machine to many writers, sized for long answers, starves on long prompts; one machine does not."""
    found = {w: rows(w, SHAPE, FEW, (1, 16, 256)) for w in (WORKLOADS["offline"], WORKLOADS["reasoning"])}
    moved = shifts(found, SHAPE, FEW)
    assert {shift.on_one_machine for shift in moved} == {True, False}
    for shift in moved:
        if shift.sized_for == shift.run_on:
            assert shift.kept_share == pytest.approx(1)
    shifted = [shift for shift in moved if (shift.sized_for, shift.run_on) == ("reasoning", "offline")]
    pairs = [shift.kept_share for shift in shifted if not shift.on_one_machine]
    single = [shift.kept_share for shift in shifted if shift.on_one_machine]
    assert max(pairs) < 0.5 < min(single)


@pytest.fixture
def small(tmp_path):
    """The config.json of a Llama of 4 layers that no list knows."""
    fields = {
        "model_type": "llama",
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1000,
        "max_position_embeddings": 8192,
    }
    (tmp_path / "config.json").write_text(json.dumps(fields))
    return ["--model", str(tmp_path / "config.json"), "--systems", "h100", "--batches", "1"]


def test_any_config_file_is_served(tmp_path, small):
    asked = [*small, "--workloads", "assistant", "--optical", "--out", str(tmp_path / "out")]
    assert run(["serve", *asked]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["decode"] for row in summary["rows"]] == ["h100"] and summary["overtaking"] is None
    assert summary["light"] is None and summary["accuracy"] == {}


def test_a_core_of_ones_own_is_served_with_its_measured_accuracy(tmp_path, small, capsys):
    """Beside a preset, on a trace of Azure; the summary is one of `otc adapt` on the same file."""
    core = tmp_path / "mine.toml"
    optics.serialise.save(optics.projected_2029(), core)
    (tmp_path / "azure.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n")
    points = [{"light": 1.0, "delta_nll": 0.05, "delta_nll_stderr": 0.01, "kl": 0.06}]
    run_of = {"text": "owt_5", "model": "SmolLM2", "windows": 2, "window_tokens": 64, "seed": 0}
    adapted = {**run_of, "core": str(core), "best": "rotated", "rows": [{"name": "rotated", "points": points}]}
    (tmp_path / "adapt.json").write_text(json.dumps(adapted))
    asked = ["--optical", str(core), "today", "--accuracy", str(tmp_path / "adapt.json")]
    asked += ["--trace", str(tmp_path / "azure.csv"), "--out", str(tmp_path / "out")]
    assert run(["serve", *small, *asked]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {row["decode"] for row in summary["rows"]} == {"h100", "mine", "optical_today"}
    assert summary["accuracy"]["mine"]["delta_nll"] == 0.05
    assert summary["accuracy"]["optical_today"]["delta_nll"] == 0.404
    assert summary["precisions"] == {"h100": "fp8", "mine": "int8", "optical_today": "int8"}
    row = next(row for row in summary["rows"] if row["prefill"] == row["decode"] == "mine")
    assert row["tokens_per_s_per_kw"]["high"] > 1.2 * row["tokens_per_s_per_kw"]["low"]
    assert "0.050 ± 0.010" in capsys.readouterr().out.splitlines()[-1] + summary["light"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--batches", "0"], "batches = (0,) must be whole numbers of at least 1"),
        (["--systems", "h10"], "did you mean 'h100'"),
        (["--model", "llama-3.1-80b"], "did you mean"),
        (["--workloads", "chat"], "no workload 'chat'"),
        (["--optical", "tomorrow"], "optical = 'tomorrow' must be one of today, projected_2029"),
        (["--ranges", "tomorrow"], "ranges = 'tomorrow' must be one of today"),
        (["--optical", "none.toml"], "none.toml"),
        (["--tpot-limit", "0"], "tpot_limit = 0.0 must be above 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, capsys, wrong, said):
    assert run(["serve", *wrong, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
