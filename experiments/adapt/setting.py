"""How a core is set for one model: which tokens stay digital, and light, gain and range at each kind of site."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import optics
from optics.core.by_site import Machine
from optics.core.site_rule import SiteRule

Register = Literal["light", "gain", "loading"]
"""What a core has a number for at each kind of site: fields of `Setting`."""
HEAD = "head"
# A head that is tied to the embedding multiplies with it.
_HEADS = (HEAD, "embedding")


def kind_of(path: str) -> str:
    """Return the kind of a site by the path of its weights: the path itself, and `HEAD` for a tied head."""
    return HEAD if path in _HEADS else path


def kinds(sites: Sequence[optics.Site]) -> tuple[str, ...]:
    """Return the kinds of the sites that run on a core, in their order."""
    return tuple(dict.fromkeys(kind_of(site.path) for site in sites if site.optical and site.stationary))


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings of a core beyond one for all sites and tokens.

    Attributes:
        sinks: so many first tokens are digital at all products with weights.
        light: factor on the source power, by kind of site; empty for 1 at all.
        gain: factor on the gain before the ADCs, by kind of site; empty for 1 at all.
        loading: factor on the rms values of the product that the full scale of the ADCs holds, by kind of site; empty
            for 1 at all.
        drives: mean drive that light is billed for, by kind of site; empty for that of the core at all.
        kinds: of the sites of the model; needed where there are sinks.
    """

    sinks: int = 0
    light: Mapping[str, float] = dataclasses.field(default_factory=dict)
    gain: Mapping[str, float] = dataclasses.field(default_factory=dict)
    loading: Mapping[str, float] = dataclasses.field(default_factory=dict)
    drives: Mapping[str, float] = dataclasses.field(default_factory=dict)
    kinds: tuple[str, ...] = ()

    def machine(self, core: optics.TensorCore) -> Machine:
        """Return a core with these settings: itself where there are none, or else a design."""
        rules = [SiteRule(_named(kind), self._at(core, kind)) for kind in self._set]
        if self.sinks:
            names = tuple(name for kind in self.kinds for name in _named(kind))
            rules.append(SiteRule(names, optics.DIGITAL, positions=tuple(range(self.sinks))))
        return optics.CoresBySite(core, rules) if rules else core

    @property
    def _set(self) -> tuple[str, ...]:
        """Kinds of sites with a core of their own."""
        return tuple(dict.fromkeys((*self.light, *self.gain, *self.loading, *self.drives)))

    def _at(self, core: optics.TensorCore, kind: str) -> optics.TensorCore:
        """The core of a kind of site."""
        if kind in self.light:
            core = optics.with_source_power(core, core.source.power * self.light[kind])
        if kind in self.gain:
            core = core.replace({"adc.gain": core.adc.gain * self.gain[kind]})
        if kind in self.loading:
            core = core.replace({"adc.loading": core.adc.loading * self.loading[kind]})
        if kind in self.drives:
            core = core.replace({"source.mean_drive": self.drives[kind]})
        return core


def _named(kind: str) -> tuple[str, ...]:
    """Paths of the weights of a kind of site."""
    return _HEADS if kind == HEAD else (kind,)
