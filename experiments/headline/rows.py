"""From what was measured and what it costs to the rows of the headline's summary."""

import math
from typing import Any

import numpy as np

import models
import optics
from electronics.digital import measured
from experiments.common import basis
from experiments.common.measure import Evaluation
from experiments.common.paired import standard_error
from experiments.common.workload import Workload

LARGE = Workload(config=models.LLAMA_3_1_70B)


class Bills:
    """Prices of one model's forward pass, per token, on any core; and of a large model's prefill beside it.

    measured_on: the model and text by name, whose mean drive the large model is billed for.
    """

    def __init__(self, checkpoint: models.Checkpoint, window_tokens: int, measured_on: str):
        self.measured_on = measured_on
        self.workload = Workload(config=checkpoint.config, context=window_tokens)
        self.macs_per_token = sum(site.macs for site in self.workload.sites) / window_tokens

    def optical(self, core: optics.TensorCore, result: Evaluation) -> dict[str, Any]:
        """The core's bill, its light being that of the drives that were measured, site by site.

        The large model, which was not run, is billed for their mean.
        """
        bill, large = (
            self.workload.price(core, result.drives),
            LARGE.price(basis.with_mean_drive(core, result.mean_drive)),
        )
        on_core = optics.price(core, self.workload.on_core, readings=result.drives)
        components = {name: float(energy / bill.macs) for name, energy in bill.components.items()}
        return self._fields(components, "emulated core") | {
            "optical": True,
            "energy_per_mac_on_core_j": float(on_core.per_mac),
            "source_power_w": float(core.source.power),
            "core_seconds_per_token": float(bill.core_seconds / self.workload.tokens),
            "billed_mean_drive": float(bill.mean_drive),
            "bill_rests_on": basis.statements(bill),
            "llama_3_1_70b": {
                "prompt": LARGE.context,
                "energy_per_mac_j": float(large.per_mac),
                "watts_at_exaops": float(large.watts_at()),
                "bill_rests_on": basis.statements(large, self.measured_on),
                "components": {name: float(energy / large.macs) for name, energy in large.components.items()},
            },
        }

    def digital(self, machine: str) -> dict[str, Any]:
        """The bill of a digital machine at the utilisation that it reaches."""
        energy = measured.ENERGY_PER_MAC[machine]
        return self._fields({"digital machine": energy.value}, energy.source) | {"optical": False}

    def _fields(self, components: dict[str, float], source: str) -> dict[str, Any]:
        per_mac = sum(components.values())
        return {
            "energy_per_token_j": per_mac * self.macs_per_token,
            "energy_per_mac_j": per_mac,
            "macs_per_token": self.macs_per_token,
            "tops_per_watt": 2e-12 / per_mac,
            "watts_at_exaops": per_mac * optics.EXAOPS / 2,
            "components": components,
            "energy_source": source,
        }


def row(name: str, result: Evaluation, exact: Evaluation, bill: dict[str, Any]) -> dict[str, Any]:
    """One line of the comparison; a standard error needs two windows and is None with one."""
    nll = _column(result, "nll")
    delta = nll - _column(exact, "nll")
    return {
        "name": name,
        "perplexity": math.exp(np.mean(nll)),
        "nll": float(np.mean(nll)),
        "delta_nll": float(np.mean(delta)),
        "delta_nll_stderr": standard_error(delta),
        "top1_agreement": float(np.mean(_column(result, "top1"))),
        "kl": float(np.mean(_column(result, "kl"))),
        **bill,
        **_observed(result),
    }


def light_point(name: str, bits: float, result: Evaluation, exact: Evaluation, bill: dict[str, Any]) -> dict[str, Any]:
    """A point of the curve against light: perplexity of fp32 on all windows, moved by the paired difference."""
    delta = float(np.mean(_column(result, "nll") - _column(exact, "nll")[: len(result.windows)]))
    return {
        "name": name,
        "effective_bits": bits,
        "delta_nll": delta,
        "perplexity": math.exp(float(np.mean(_column(exact, "nll"))) + delta),
        "energy_per_mac_j": bill["energy_per_mac_j"],
        "energy_per_mac_on_core_j": bill["energy_per_mac_on_core_j"],
        "source_power_w": bill["source_power_w"],
    }


def _observed(result: Evaluation) -> dict[str, Any]:
    """Medians over all sites and layers, and the figures of each."""
    if not result.sites:
        return {}
    medians = {name: _median(result, name) for name in ("snr_db", "enob_full_scale", "clip_rate", "rho")}
    return medians | {"mean_drive": result.mean_drive, "sites": result.sites}


def _median(result: Evaluation, name: str) -> float | None:
    found = [value for site in result.sites.values() for value in site[name] if value is not None]
    return float(np.median(found)) if found else None


def _column(result: Evaluation, field: str) -> np.ndarray:
    return np.array([window[field] for window in result.windows])
