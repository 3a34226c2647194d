"""Generated tables of the documentation: numbers to their errors, and what is left out."""

from typing import Any

from experiments.results import bench_table, guide_tables, pages, results_page, serving_tables


def test_table_of_the_target_states_numbers_to_their_errors():
    scenario = {
        "watts_at_exaops": {"nominal": 52042.5, "p05": 43905.0, "p95": 1002469.5},
        "probability_of_closing": 0.0,
        "fj_per_mac": 104.085,
        "fj_per_mac_on_core": 60.9009,
        "delta_nll": 0.379634,
        "delta_nll_stderr": 0.0447206,
        "kl": 0.474476,
        "system": {"cores": 473.48},
    }
    digital = {"digital_w8a8": {"delta_nll": 0.02993, "delta_nll_stderr": None, "kl": 0.04795}}
    summary: Any = {"scenarios": {"today": scenario}, "digital": digital}
    _, row, last = results_page.target(summary)
    assert row == ["today", "52.0", "43.9 to 1,002", "0 %", "104", "60.9", "0.380 ± 0.045", "0.474", "473"]
    assert last == ["digital W8A8", "", "", "", "", "", "0.030", "0.048", ""]


def test_markdown_has_a_rule_below_the_header():
    assert pages.markdown([["", "a"], ["x", ""]]) == "| | a |\n|---|---|\n| x | |"


def test_table_of_adapt_has_a_row_for_each_method_and_says_what_lies_beyond_the_curve():
    def comparison(recovered, error, watts):
        return {"kl": 0.1, "recovered": recovered, "recovered_stderr": error, "equal_kl": watts}

    def row(name, *compared):
        point = {"light": 1.0, "kl": 0.2314, "kl_stderr": 0.0121, "photons_per_mac": 9935.2, "watts_at_exaops": 16840.0}
        criteria = ("photons_per_mac", "source_power_w", "watts_at_exaops")
        return {
            "name": name,
            "trained": False,
            "points": [point],
            "mean_drive": 0.0634,
            "against_unprepared": dict(zip(criteria, compared, strict=True)),
        }

    same = comparison(0.0, 0.0, 16840.0)
    rows = [
        row("none", same, same, same),
        row("fold", comparison(None, None, None), comparison(-0.5, None, None), comparison(0.333, 0.04, None)),
    ]
    _, plain, fold = guide_tables.adapt({"rows": rows})
    assert plain == ["as it is", "0.231 ± 0.012", "0.063", "9,935", "16.8", "", "", "", "16.8"]
    assert fold[0] == "`fold`" and fold[-4:] == ["beyond", "-50 %", "33 % ± 4", "beyond"]


def loss(delta_nll, kl, error=None):
    return {"delta_nll": delta_nll, "delta_nll_stderr": error, "kl": kl, "kl_stderr": error}


def test_table_of_the_ablation_leaves_out_what_weighs_nothing():
    rows: Any = [
        {"effect": "shot", "alone": loss(0.0, 0.019, 0.002), "saved_by_removing": loss(0.0, 0.023, 0.002)},
        {"effect": "adc_offset", "alone": loss(0.0, 0.001), "saved_by_removing": loss(0.0, 0.0071)},
        {"effect": "stray_light", "alone": loss(0.0, 0.0), "saved_by_removing": loss(0.0, 0.0069)},
    ]
    summary: Any = {"everything": loss(0.1, 0.14, 0.01), "rows": rows}
    assert results_page.ablation(summary)[1:] == [
        ["shot", "0.019 ± 0.002", "0.023 ± 0.002"],
        ["adc offset", "0.001", "0.007"],
        ["all", "0.140 ± 0.010", ""],
    ]


def test_table_of_the_descent_has_the_grid_where_there_is_one():
    core = {"clock": 1e9, "light_bits": 7.0, "enob": 8.0, "merit": 3.041, "watts": 16840.0, "kl": 0.2514}
    best = core | {"merit": 2.08, "on_fresh_noise": {"merit": 2.2, "merit_stderr": 0.05}}
    found = {"path": [core], "evaluations": 20, "best": best}
    start = ["start", "1", "1.00", "7.0", "8.0", "16.8", "0.251", "3.04", ""]
    end = ["1.00", "7.0", "8.0", "16.8", "0.251", "2.08", "2.20 ± 0.05"]
    summary: Any = {"descent": found | {"grid": {"evaluations": 1000, "best": best}}}
    assert results_page.descent(summary)[1:] == [start, ["descent", "20", *end], ["grid", "1,000", *end]]
    assert len(results_page.descent({"descent": found})) == 3  # pyright: ignore[reportArgumentType]
    assert len(results_page.descent({"descent": None})) == 1  # pyright: ignore[reportArgumentType]


def test_table_of_a_training_has_its_curve_and_the_ends_on_other_windows():
    rows = [{"method": "none"}, {"method": "light", "curve": [(0, 0.162), (60, 0.1534)], "draw_stderr": 0.001}]
    recovery = [{"method": "none", "loss": 0.166}, {"method": "light", "loss": 0.159}]
    summary: Any = {"figure": "kl", "rows": rows, "recovery": recovery}
    assert guide_tables.trained(summary) == [
        ["kl", "after 0 steps", "after 60 steps", "other windows, before", "after"],
        ["held out", "0.162", "0.153", "0.166 ± 0.001", "0.159 ± 0.001"],
    ]


def served(prefill, decode, rate, workload="offline", kept=True):
    spread = {"nominal": rate, "low": rate / 2, "high": 2 * rate}
    row = {"workload": workload, "prefill": prefill, "decode": decode, "kept": kept, "tokens_per_s_per_kw": spread}
    return row | {"j_per_token": {"nominal": 1e3 / rate, "low": 1e3 / rate, "high": 1e3 / rate}}


def test_tables_of_serving_have_factors_ranges_losses_and_who_misses_the_limits():
    light, digital = served("mine", "rubin", 300.0), served("rubin", "rubin", 100.0)
    verdict = {
        "light": light,
        "digital": digital,
        "factor": {"nominal": 3.0, "low": 0.75, "high": 12.0},
        "told_apart": False,
        "accuracy": "accuracy not measured",
    }
    half, same = {"nominal": 0.5, "low": 0.1, "high": 1}, {"nominal": 1, "low": 1, "high": 1}
    pairs = [
        {"title": "A + B", "row": served("a", "b", 50.0, kept=False), "over_galaxy": half},
        {"title": "Galaxy", "row": served("galaxy", "galaxy", 100.0), "over_galaxy": same},
        {"title": "C + D", "row": None, "over_galaxy": None},
    ]
    none = {"light": None, "digital": digital, "factor": None, "told_apart": True, "accuracy": ""}
    summary: Any = {
        "workloads": {
            "offline": {"title": "Offline", "light": verdict, "announced": pairs},
            "code": {"title": "Code", "light": none, "announced": pairs},
        },
        "precisions": {"rubin": "fp8", "mine": "int8", "other": "int8"},
        "accuracy": {"mine": {"delta_nll": 0.06, "delta_nll_stderr": 0.01}, "other": None},
        "rows": [
            *(served("mine", "mine", rate) for rate in (20.0, 40.0)),
            served("mine", "mine", 99.0, kept=False),
            served("other", "other", 10.0, "code"),
            light,
            digital,
        ],
    }
    assert serving_tables.light(summary)[1:] == [
        ["Offline", "3.00 (0.750 to 12.0)", "mine + rubin", "rubin", "no", "accuracy not measured"],
        ["Code", "", "none within the limits", "rubin", "yes", ""],
    ]
    assert [row[:2] for row in serving_tables.announced(summary)[1:]] == [
        ["A + B", "50.0 (25.0 to 100), x 0.5, misses the limits"],
        ["Galaxy", "100 (50.0 to 200)"],
        ["C + D", "fits at no batch"],
    ]
    assert serving_tables.alone(summary)[1:] == [
        ["mine", "0.060 ± 0.010", "40.0 (20.0 to 80.0); 25.0 (25.0 to 25.0)", "misses the limits"],
        ["other", "not measured", "misses the limits", "10.0 (5.00 to 20.0); 100 (100 to 100)"],
        ["rubin", "not measured", "100 (50.0 to 200); 10.0 (10.0 to 10.0)", "misses the limits"],
    ]


def test_table_of_the_benchmark_has_a_row_for_each_work_and_leaves_out_ways_that_were_not_timed():
    def row(way, ratio, work="1024 -> 1024, 512 vectors"):
        given = {"way": way, "work": work, "threads": 1, "digital_s": 0.0104, "emulated_s": 0.0104 * ratio}
        quartiles = [ratio - 0.01, ratio, ratio + 0.02]
        return {
            **given,
            "ratio": ratio,
            "ratio_quartiles": quartiles,
            "peak_bytes_ratio": 3.3,
            "emulated_compile_s": 1.24,
        }

    only = row("bfloat16", 0.92, "SmolLM2 forward, 4 x 512 tokens")
    summary: Any = {"rows": [row("float32", 1.25), row("floor", 1.09), row("bfloat16", 0.8), only]}
    header, product, forward = bench_table.bench(summary)
    times = ["1024 -> 1024, 512 vectors", "10.4 ms", "13 ms", "1.25", "1.24-1.27"]
    assert product == [*times, "1.09", "", "8.32 ms", "0.80", "0.79-0.82", "3.30", "3.30", "1.2 s"]
    assert forward[2:7] == [""] * 5 and forward[-2:] == ["3.30", ""] and len(header) == len(forward) == 13
