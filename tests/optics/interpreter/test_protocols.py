"""Cores satisfy the protocols that `emulate` and `price` probe, and dispatch follows what a core has."""

import jax
import jax.numpy as jnp
import pytest

import optics
from electronics import IntegerCore
from optics.interpreter import priced, protocols

CORE = optics.today()
REALIZED = CORE.replace({"rows": 4, "columns": 4}).prepare()
INTEGER = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=1e-12)
CORES = {
    "TensorCore": CORE,
    "RealizedCore": REALIZED,
    "FixedRangeCore": optics.FixedRangeCore(REALIZED, {}),
    "PreloadedCore": optics.PreloadedCore(REALIZED, {}, ()),
    "IntegerCore": INTEGER,
}
SATISFIED = {
    protocols.ObservableCore: ("TensorCore", "RealizedCore"),
    protocols.PreparableCore: ("TensorCore", "RealizedCore", "FixedRangeCore", "PreloadedCore"),
    protocols.PerSiteCore: ("FixedRangeCore", "PreloadedCore"),
    protocols.PerStepCore: ("FixedRangeCore", "PreloadedCore"),
    protocols.CallCheckingCore: ("PreloadedCore",),
    protocols.ReviewingCore: ("TensorCore", "RealizedCore", "FixedRangeCore", "PreloadedCore"),
    priced.PricedCore: ("TensorCore", "IntegerCore"),
    priced.TimedCore: ("TensorCore",),
    priced.OperationPricer: ("TensorCore",),
    priced.MemoryPricer: ("TensorCore",),
    priced.IlluminatedCore: ("TensorCore",),
    priced.ReloadedCore: ("TensorCore",),
    priced.HostedCore: ("TensorCore",),
}


@pytest.mark.parametrize("protocol", SATISFIED, ids=lambda protocol: protocol.__name__)
def test_core_has_the_methods_of_a_protocol_exactly_where_listed(protocol):
    found = {name for name, core in CORES.items() if isinstance(core, protocol)}
    refusing = {"FixedRangeCore", "PreloadedCore"} if protocol is protocols.ObservableCore else set()
    assert found - refusing == set(SATISFIED[protocol])


@pytest.mark.parametrize("name", CORES)
def test_core_has_matmul(name):
    assert callable(CORES[name].matmul)


def test_plain_core_is_used_as_it_is_at_sites_and_scan_steps():
    assert protocols.prepared(INTEGER) is INTEGER
    assert protocols.at_site(INTEGER, "000 w 4x4") is INTEGER
    assert protocols.at_scan_step(INTEGER, jnp.uint32(1), {"000 w 4x4"}) is INTEGER


def test_index_scan_indexes_only_the_sites_of_the_scan():
    kept = {"in": jax.numpy.arange(6).reshape(3, 2), "out": jax.numpy.arange(2)}
    found = protocols.index_scan(kept, jnp.uint32(2), {"in"})
    assert found["in"].tolist() == [4, 5]
    assert found["out"].tolist() == [0, 1]
