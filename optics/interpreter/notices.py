"""Why a product stays digital, and the warnings about products that a core could do and does not."""

import warnings
from collections.abc import Sequence

from optics.interpreter.plan import BY_SITE, Site

POLICY = "policy"
ACTIVATIONS = "made of data"
CONSTANTS = "captured arrays alone"
CAPTURED = "captured array"
UNKNOWN = "unknown primitive"
NOT_ENTERED = "primitive that is not entered"
OUTSIDE = "not written in JAX"
# Of a primitive whose products, if it has any, are not counted.
UNCOUNTED = frozenset({UNKNOWN, NOT_ENTERED, OUTSIDE})
IMAGE_OF_WEIGHTS = "image of weights, kernel of data"
# Reasons that follow from the policy, or from there being no weights.
EXPECTED = frozenset({"", POLICY, BY_SITE, ACTIVATIONS, CONSTANTS, OUTSIDE})
WORTH_A_WARNING = 0.01
NAMED = 4


class DigitalProductWarning(UserWarning):
    """Products with weights, or with what may be weights, stay digital for a reason other than the policy."""


class WeightsArgumentWarning(UserWarning):
    """The argument that `weights` names may be the data."""


def is_missed(site: Site) -> bool:
    """Whether a product with weights, or with what may be weights, is digital for a reason other than the policy."""
    return site.reason not in EXPECTED


def missed_share(sites: Sequence[Site]) -> float:
    """Share of the missed products among the MACs of all products with weights, or with what may be weights."""
    missed = sum(site.macs for site in sites if is_missed(site))
    return missed / max(1, missed + sum(site.macs for site in sites if site.stationary and not is_missed(site)))


def warn_of_digital(sites: Sequence[Site], weights: str, stacklevel: int, *, default_policy: bool) -> None:
    """Warn once if more than 1 % of the MACs with weights are missed, or if nothing at all runs on a core."""
    share, nothing = missed_share(sites), default_policy and not any(site.optical for site in sites)
    unknown = [site for site in sites if site.reason == UNKNOWN]
    said = []
    if nothing:
        captured = any(site.captured or site.reason == CAPTURED for site in sites)
        but = ", and arrays that the function captures are not weights, unless `weights` says 'captured'"
        said.append(
            "nothing runs on the core: no matrix product in the function has an operand made of the weights ("
            f"{weights}) alone" + (but if captured else "")
        )
    if share > WORTH_A_WARNING:
        missed = [site for site in sites if is_missed(site) and site.reason not in UNCOUNTED]
        said.append(f"{share:.0%} of the MACs with weights stay digital: {_listed(missed)}")
    if unknown:
        names = ", ".join(sorted({f"{site.kind!r} takes {site.weights}" for site in unknown}))
        said.append(f"primitives that are not known take weights, and products inside them are not counted: {names}")
    if closed := sorted({repr(site.kind) for site in sites if site.reason == NOT_ENTERED}):
        said.append(f"products inside these primitives are neither emulated nor counted: {', '.join(closed)}")
    if said:
        text = "; ".join(said) + "; optics.report(optics.trace(...)(...)) lists all products"
        warnings.warn(text, DigitalProductWarning, stacklevel=stacklevel + 1)


def warn_of_argument(sites: Sequence[Site], weights: str, stacklevel: int) -> None:
    """Warn if the weights, the only arrays among the arguments, are multiplied with captured arrays."""
    if captured := [site for site in sites if site.captured]:
        warnings.warn(
            f"{weights}, named by `weights`, is the only one that holds an array, and it is multiplied with "
            f"arrays that the function captures ({_listed(captured, reasons=False)}): if it holds the data, the data "
            "stand on the mask; pass the weights as an argument of their own",
            WeightsArgumentWarning,
            stacklevel=stacklevel + 1,
        )


def _listed(sites: Sequence[Site], reasons: bool = True) -> str:
    largest = sorted(sites, key=lambda site: -site.macs)[:NAMED]
    more = f" and {len(sites) - NAMED} more" if len(sites) > NAMED else ""
    return ", ".join(f"{site.name!r}" + (f" ({why(site)})" if reasons else "") for site in largest) + more


def why(site: Site) -> str:
    """The reason that a site is digital, with the weights in question where its name has them not."""
    named = site.weights and site.weights != site.path and is_missed(site)
    return f"{site.reason}: {site.weights}" if named else site.reason
