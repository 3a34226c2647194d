"""The model against published rows that its numbers have not seen."""

import math
from statistics import median

import pytest

import models
from experiments.serving.model.system import CALIBRATION
from experiments.serving.validate.calibration import fit, fitted
from experiments.serving.validate.comparison import compare, median_error
from experiments.serving.validate.crossvalidation import by_system_and_model, cross_validate
from experiments.serving.validate.published import PUBLISHED

GPU_GROUPS = ("TensorRT-LLM", "MLPerf", "ML.ENERGY")


@pytest.fixture(scope="module")
def held_out():
    """Each row predicted by a fit without any row of its system and model."""
    return cross_validate(PUBLISHED, models.CONFIGS, by_system_and_model)


@pytest.mark.parametrize("group", GPU_GROUPS)
def test_gpu_rows_are_predicted_within_15_percent(group):
    """TensorRT-LLM 1.0 overview, MLPerf 4.1 to 6.0, ML.ENERGY February 2026: rows that are in no fit; the median."""
    found = [compare(row, models.CONFIGS) for row in PUBLISHED if row.group == group and row.use == "test"]
    assert len(found) >= 20
    assert median_error(each.in_rate for each in found) < 0.15
    if any(each.in_energy is not None for each in found):
        assert median_error(each.in_energy for each in found) < 0.15


def test_a_model_too_large_for_a_fit_is_predicted_on_4_to_8_gpus():
    """TensorRT-LLM 1.0 overview, 405B: no row of it is in a fit, held out or not. At FP4 the model is too fast."""
    found = [compare(row, models.CONFIGS) for row in PUBLISHED if row.group == "4 to 8 GPUs"]
    assert {row.row.chips for row in found} == {4, 8}
    errors = {name: [each.in_rate for each in found if each.row.system == name] for name in ("h100", "h200", "b200")}
    assert median_error(errors["h100"]) < 0.10
    assert median_error(errors["h200"]) < 0.15
    assert 0.10 < median_error(errors["b200"]) < 0.25


def test_mixtures_decode_at_the_published_rate_where_they_wait_for_memory():
    """Qwen3-30B-A3B and gpt-oss-120b on Blackwell, outputs of 2,048 tokens and more: within 30 % each."""
    found = [
        compare(row, models.CONFIGS)
        for row in PUBLISHED
        if row.group == "mixtures" and row.use == "test" and row.output >= 2048 and row.output > row.prompt
    ]
    assert len(found) >= 6
    assert max(abs(each.in_rate) for each in found) < math.log(1.3)


@pytest.mark.slow
@pytest.mark.parametrize("group", GPU_GROUPS)
def test_they_are_without_any_row_of_their_system_and_model(group, held_out):
    found = [each for row, each in held_out.items() if row.group == group]
    assert median_error(each.in_rate for each in found) < 0.15
    if any(each.in_energy is not None for each in found):
        assert median_error(each.in_energy for each in found) < 0.15


def test_single_streams_of_sram_machines_are_within_a_factor_of_one_and_a_half():
    """Artificial Analysis and makers' figures of Groq, Cerebras and SambaNova, each not in the fit."""
    rows = [row for row in PUBLISHED if row.group == "single stream" and row.use == "test"]
    assert {row.system for row in rows} == {"groq", "cs3", "sn40l"}
    errors = [abs(compare(row, models.CONFIGS).in_rate) for row in rows]
    assert median(errors) < math.log(1.5)
    assert max(errors) < math.log(1.5)


def test_no_fit_sees_a_row_for_testing():
    """The rows of a fit and of its test share neither system and model within a group, nor a row."""
    used = {row.held_out_with for row in PUBLISHED if row.use == "fit" and row.group in GPU_GROUPS}
    tested = {row.held_out_with for row in PUBLISHED if row.use == "test" and row.group in GPU_GROUPS}
    assert used and tested and not used & tested


def test_what_ships_is_what_the_fit_gives():
    again = fitted(fit([row for row in PUBLISHED if row.use == "fit"], models.CONFIGS))
    for name, constant in fitted(CALIBRATION).items():
        assert again[name].value == pytest.approx(constant.value, rel=5e-3, abs=0)
