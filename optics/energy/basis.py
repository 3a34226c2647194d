"""What a bill rests on: what was measured or found in the function, and what was assumed."""

from collections.abc import Mapping, Sequence

from electronics.part import Number
from optics.interpreter.plan import Site
from optics.interpreter.priced import IlluminatedCore, PricedCore, ReloadedCore, RoutedCore

# What a bill says that it rests on; a colon and the number follow where there is one.
DRIVE_MEASURED = "mean drive of full scale, by readings of this function"
DRIVE_PARTLY = "mean drive of full scale at sites without readings (source.mean_drive)"
DRIVE_ASSUMED = "mean drive of full scale (source.mean_drive), not measured on this function"
ATTENTION_FOUND = "attention counted for the scores that the function's own mask leaves"
ATTENTION_SAID = "attention counted as causal (causal=True)"
ATTENTION_WHOLE = "products of two activations counted whole, as no mask known at trace time hides a part of them"
WHILE = "a while loop counted for a single turn"
EXPERTS = "vectors of a load routed evenly to the experts of a site"
RESIDENCY = "vectors that a load of weights stays for (vectors_per_load)"


def rests_on(
    core: PricedCore, sites: Sequence[Site], drives: Mapping[str, Number]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(what was measured or found, what was assumed)."""
    on_core = [site for site in sites if site.optical]
    lacking = [site for site in on_core if site.name not in drives]
    # Sources that are driven by (1 + x) / 2 are as bright whatever x is.
    lit_alike = not isinstance(core, IlluminatedCore) or core.encoding.inputs == "offset"
    between = [site for site in sites if not site.stationary]
    measured = {
        DRIVE_MEASURED: on_core and len(lacking) < len(on_core) and not lit_alike,
        ATTENTION_FOUND: any(site.hidden_by == "mask" for site in between),
    }
    assumed = {
        DRIVE_ASSUMED: lacking and len(lacking) == len(on_core) and not lit_alike,
        DRIVE_PARTLY: lacking and len(lacking) < len(on_core) and not lit_alike,
        ATTENTION_SAID: any(site.hidden_by == "causal=True" for site in between),
        ATTENTION_WHOLE: any(not site.hidden_by for site in between),
        WHILE: not all(site.bounded for site in sites),
        RESIDENCY: any(site.stationary for site in on_core) and isinstance(core, ReloadedCore),
        EXPERTS: any(site.stationary and site.experts > 1 for site in on_core) and isinstance(core, RoutedCore),
    }
    return tuple(t for t, holds in measured.items() if holds), tuple(t for t, holds in assumed.items() if holds)
