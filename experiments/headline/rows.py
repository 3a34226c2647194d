"""Rows of the headline's summary, from the measured accuracy and the bill of each machine."""

import math

import numpy as np

import models
import optics
from electronics.digital import measured
from experiments.common import billing
from experiments.common.workload import Attention, Workload
from experiments.evaluation.paired import standard_error
from experiments.evaluation.records import Evaluation, observed_drive
from experiments.headline.records import (
    Accuracy,
    DigitalBill,
    DigitalRow,
    LightPoint,
    OpticalBill,
    OpticalRow,
    SiteMedians,
)
from optics.core.by_site import Machine, host_core


class ModelPricer:
    """Prices the forward pass of a model on any machine, per token, and the prefill of a large model beside it.

    Args:
        checkpoint: the model that is run.
        window_tokens: tokens of its prompt.
        measured_on: name of that model and text, whose mean drive the large model is billed for.
        attention: where attention runs on optical cores.
    """

    def __init__(
        self, checkpoint: models.Checkpoint, window_tokens: int, measured_on: str, attention: Attention = "digital"
    ):
        self.measured_on = measured_on
        self.workload = Workload(config=checkpoint.config, context=window_tokens, attention=attention)
        self.large = Workload(config=models.LLAMA_3_1_70B, attention=attention)
        self.macs_per_token = sum(site.macs for site in self.workload.sites) / window_tokens

    def optical(self, core: Machine, result: Evaluation) -> OpticalBill:
        """Price a core, or a core for each site. Light is billed for the drive measured at each site.

        The large model is not run, so it is billed for the mean of those drives.
        """
        bill = self.workload.price(core, result.drives)
        large = self.large.price(billing.with_mean_drive(core, observed_drive(result)))
        first = host_core(core)
        on_core = self.workload.price_on_core(core, result.drives)
        per_mac = {name: float(energy / bill.macs) for name, energy in bill.components.items()}
        total = sum(per_mac.values())
        return {
            "energy_per_token_j": total * self.macs_per_token,
            "energy_per_mac_j": total,
            "macs_per_token": self.macs_per_token,
            "tops_per_watt": 2e-12 / total,
            "watts_at_exaops": total * optics.EXAOPS / 2,
            "components": per_mac,
            "energy_source": "emulated core",
            "optical": True,
            "energy_per_mac_on_core_j": float(on_core.per_mac),
            "source_power_w": float(first.source.power),
            "core_seconds_per_token": float(bill.core_seconds / self.workload.tokens),
            "billed_mean_drive": billing.billed_drive(bill),
            "bill_rests_on": billing.statements(bill),
            "llama_3_1_70b": {
                "prompt": self.large.context,
                "energy_per_mac_j": float(large.per_mac),
                "watts_at_exaops": float(large.watts_at()),
                "bill_rests_on": billing.statements(large, self.measured_on),
                "components": {name: float(energy / large.macs) for name, energy in large.components.items()},
            },
        }

    def digital(self, machine: str) -> DigitalBill:
        """Price a digital machine at the utilisation that it reaches."""
        energy = measured.ENERGY_PER_MAC[machine]
        return {
            "energy_per_token_j": energy.value * self.macs_per_token,
            "energy_per_mac_j": energy.value,
            "macs_per_token": self.macs_per_token,
            "tops_per_watt": 2e-12 / energy.value,
            "watts_at_exaops": energy.value * optics.EXAOPS / 2,
            "components": {"digital machine": energy.value},
            "energy_source": energy.source,
            "optical": False,
        }


def digital_row(name: str, result: Evaluation, exact: Evaluation, bill: DigitalBill) -> DigitalRow:
    """Return the row of a digital machine; `exact` is the same model in float32."""
    return {**_accuracy(name, result, exact), **bill, **_medians(result)}


def optical_row(name: str, result: Evaluation, exact: Evaluation, bill: OpticalBill) -> OpticalRow:
    """Return the row of an optical core; `exact` is the same model in float32."""
    return {**_accuracy(name, result, exact), **bill, **_medians(result)}


def light_point(name: str, bits: float, result: Evaluation, exact: Evaluation, bill: OpticalBill) -> LightPoint:
    """Return a point of the curve against light: the perplexity of float32, moved by the paired difference."""
    delta = float(np.mean(_by_window(result, "nll") - _by_window(exact, "nll")[: len(result.windows)]))
    return {
        "name": name,
        "effective_bits": bits,
        "delta_nll": delta,
        "perplexity": math.exp(float(np.mean(_by_window(exact, "nll"))) + delta),
        "energy_per_mac_j": bill["energy_per_mac_j"],
        "energy_per_mac_on_core_j": bill["energy_per_mac_on_core_j"],
        "source_power_w": bill["source_power_w"],
    }


def _accuracy(name: str, result: Evaluation, exact: Evaluation) -> Accuracy:
    """Means over windows; a standard error needs two windows and is None with one."""
    nll = _by_window(result, "nll")
    delta = nll - _by_window(exact, "nll")
    return {
        "name": name,
        "perplexity": math.exp(np.mean(nll)),
        "nll": float(np.mean(nll)),
        "delta_nll": float(np.mean(delta)),
        "delta_nll_stderr": standard_error(delta),
        "top1_agreement": float(np.mean(_by_window(result, "top1"))),
        "kl": float(np.mean(_by_window(result, "kl"))),
    }


def _medians(result: Evaluation) -> SiteMedians:
    if not result.sites:
        return {}
    return {
        "snr_db": _median(result, "snr_db"),
        "enob_full_scale": _median(result, "enob_full_scale"),
        "clip_rate": _median(result, "clip_rate"),
        "rho": _median(result, "rho"),
        "mean_drive": result.mean_drive,
        "sites": result.sites,
    }


def _median(result: Evaluation, name: str) -> float | None:
    finite = [value for site in result.sites.values() for value in site[name] if value is not None]
    return float(np.median(finite)) if finite else None


def _by_window(result: Evaluation, field: str) -> np.ndarray:
    return np.array([window[field] for window in result.windows])
