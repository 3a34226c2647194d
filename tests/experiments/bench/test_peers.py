"""Other emulators in the benchmark, with a stub in place of each; one test runs those that are installed."""

import json
import sys
import time
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from experiments.bench import peers, report, worker
from experiments.bench import program as bench
from experiments.bench.cases import BenchCase, operands
from experiments.commands import run

CASE = BenchCase(kind="product", preset="today", rows=48, columns=40, vectors=4, tile_rows=16)
SMALL = ["--only", "product", "floor", "--arithmetic", "float32", "--threads", "1", "--rounds", "3"]
PRODUCT = ["--shapes", "48", "40", "--vectors", "4", "--tile-rows", "16"]


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A package of version 3.1 whose emulated layer takes 4 ms longer than its digital one, as the only peer."""
    (tmp_path / "slow_peer.py").write_text("")
    metadata = tmp_path / "slow_peer-3.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: slow-peer\nVersion: 3.1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def layers(case, x, weights):
        def emulated():
            time.sleep(0.004)
            return x @ weights.T

        return peers.Layers(lambda: x @ weights.T, emulated)

    peer = peers.Peer("slow_peer", "numpy", "sleeps", layers)
    monkeypatch.setattr(peers, "PEERS", {"slow-peer": peer})
    return peer


def test_a_peer_that_is_installed_is_timed_beside_its_own_digital_layer(stub):
    timing = worker.measured(CASE, 3, 0.0)["peers"]["slow-peer"]
    assert timing["emulated_s"] > 0.004 > timing["digital_s"] > 0
    low, middle, high = timing["ratio_quartiles"]
    assert 1 < low <= middle == timing["ratio"] <= high


def test_a_peer_has_no_timing_where_it_would_be_the_same_one_again(stub):
    for fields in ({"kind": "floor"}, {"arithmetic": "bfloat16"}, {"light": "exact"}, {"kind": "convolution"}):
        assert peers.layers(BenchCase(**{**vars(CASE), **fields})) == {}


def test_settings_and_version_of_a_peer_are_reported_without_an_import(stub):
    (record,) = peers.installed().values()
    assert record == {"version": "3.1", "digital": "numpy", "settings": f"{peers.EQUAL}; sleeps"}


@pytest.fixture
def in_this_process(monkeypatch):
    """Timings are taken here, where the stub is."""
    monkeypatch.setattr(bench, "_timed", lambda cases, *_: (worker.measured(case, 3, 0.5) for case in cases))


@pytest.mark.usefixtures("in_this_process")
def test_the_table_has_ours_and_the_peers_of_one_product(stub, tmp_path, capsys):
    assert run(["bench", *SMALL, *PRODUCT, "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    ours, floor = summary["rows"]
    assert list(ours["peers"]) == ["slow-peer"] and floor["peers"] == {}
    assert summary["peers"]["slow-peer"]["settings"].endswith("sleeps")
    table = report.peer_rows(summary)
    assert [row[1] for row in table[1:]] == ["today, float32", "floor", "slow-peer 3.1"]
    assert [row[6] for row in table[1:]] == [
        f"{ratio:.2f}" for ratio in (ours["ratio"], floor["ratio"], ours["peers"]["slow-peer"]["ratio"])
    ]
    page, printed = (tmp_path / "out" / "peers.md").read_text(), capsys.readouterr().out
    assert "load average before the timing 0.5 to 0.5" in page
    for text in (page, printed):
        assert f"slow-peer 3.1, beside numpy: {peers.EQUAL}; sleeps." in text


@pytest.mark.usefixtures("in_this_process")
def test_without_peers_there_is_neither_table_nor_page(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "PEERS", {"none": peers.Peer("no_such_module", "none", "none", MagicMock())})
    assert run(["bench", *SMALL, *PRODUCT, "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["peers"] == {} and [row["peers"] for row in summary["rows"]] == [{}, {}]
    printed = capsys.readouterr().out
    assert "its digital layer" not in printed and "peers.md" not in printed
    assert not (tmp_path / "peers.md").exists()


def test_the_converters_of_the_peers_are_those_of_the_presets():
    core = CASE.core()
    assert 2 * (2**core.dac.bits - 1) == peers.INPUT_STEPS
    assert 2**core.adc.bits - 2 == peers.OUTPUT_STEPS


@pytest.fixture
def torch(monkeypatch):
    stub = MagicMock()
    stub.from_numpy = lambda array: SimpleNamespace(array=array)
    monkeypatch.setitem(sys.modules, "torch", stub)
    return stub


@pytest.mark.parametrize("name, tiles, mode", [("aihwkit", 1, "eval"), ("aihwkit-lightning", 3, "train")])
def test_a_peer_is_given_the_equal_settings(name, tiles, mode, torch, monkeypatch):
    """48 rows are 3 tiles of 16, and aihwkit-lightning divides the noise of each by the root of 3."""
    package = peers.PEERS[name].module
    stub = MagicMock()
    for module in ("", ".nn", ".simulator", ".simulator.configs", ".simulator.parameters.enums"):
        monkeypatch.setitem(sys.modules, package + module, stub)
    monkeypatch.setattr(peers, "find_spec", lambda module: stub if module == package else None)
    (made,) = peers.layers(CASE).values()
    config = stub.AnalogLinear.from_digital.call_args.args[1]
    assert config.mapping.max_input_size == 16
    assert (config.forward.inp_res, config.forward.out_res, config.forward.out_bound) == (510, 1022, 12)
    assert config.forward.out_noise == pytest.approx(0.04 * tiles**0.5)
    torch.nn.Linear.assert_called_once_with(48, 40, bias=False)
    # The mode in which it draws noise.
    layer = getattr(stub.AnalogLinear.from_digital.return_value, mode)
    layer.assert_called_once_with()
    made.emulated()
    (inputs,) = layer.return_value.call_args.args
    np.testing.assert_array_equal(inputs.array, operands(CASE)[0])


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_an_installed_peer_has_the_noise_that_is_set(name):
    """Against float64: the noise of three tiles and the rounding, relative to largest input and weight.

    40 x 400 outputs tell a standard deviation to 0.6 %; inputs of 510 steps add less than 1 %.
    """
    pytest.importorskip(peers.PEERS[name].module)
    case = BenchCase(**{**vars(CASE), "vectors": 400})
    x, w = (np.asarray(operand, np.float64) for operand in operands(case))
    off = np.asarray(peers.layers(case)[name].emulated()) - x @ w
    tiles = [slice(first, first + 16) for first in (0, 16, 32)]
    units = [np.abs(x[:, tile]).max(axis=1, keepdims=True) * np.abs(w[tile]).max() for tile in tiles]
    unit = np.sqrt(np.sum(np.square(units), axis=0))
    rounding = 2 * peers.BOUND / peers.OUTPUT_STEPS / 12**0.5
    assert np.std(off / unit) == pytest.approx(np.hypot(peers.OUT_NOISE, rounding), rel=0.05)
