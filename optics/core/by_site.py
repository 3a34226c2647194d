"""Designs whose sites run on cores of their own, or stay digital.

design = optics.CoresBySite(core, {"*.down": brighter, "head": optics.DIGITAL})
y = optics.emulate(forward)(design, key, params, x)
bill = optics.price(design, optics.trace(forward)(params, x))
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax

from electronics.part import Number, nearest
from optics.core.assigned_cores import AssignedCores
from optics.core.choices import check_rules
from optics.core.site_rule import DIGITAL, Digital, SiteRule, first_core, labels_of
from optics.core.tensor_core import TensorCore
from optics.interpreter.plan import Site
from optics.interpreter.protocols import AssigningCore, Core

DEFAULT = "default"
_PART = re.compile(r"(default|rules\.(\d+)\.core)(?:\.(.+))?")


def split_name(name: str) -> tuple[str, str]:
    """("rules.0.core", "adc.enob") of the name "rules.0.core.adc.enob"; ("", name) of one that names no core."""
    found = _PART.fullmatch(name)
    return (found[1], found[3] or "") if found else ("", name)


@jax.tree_util.register_pytree_node_class
class CoresBySite(AssigningCore, Core):
    """A core for each site of a function: a pytree whose leaves are the numbers of all its cores.

    A rule with positions or heads comes before one without, then one with steps before one without, then a name before
    a pattern and a pattern before a function. Sites that no rule holds for run on `default`.

    Args:
        default: the core of all other sites, or `DIGITAL`.
        rules: by what `SiteRule.sites` says, the core or `DIGITAL`; or `SiteRule`s.

    Raises:
        ValueError: without any core; when a run or a price has found the sites, for a rule that holds for none of
            them (with the nearest name), for two rules that fit a site equally closely, for a step that a scan does not
            have, for a position or a head that a site does not have, for positions of a site on a core that is
            no dot_general with weights, and for heads of one that is no dot_general of several matrices.
    """

    def __init__(
        self,
        default: TensorCore | Digital,
        rules: Mapping[str | tuple[str, ...] | Callable[[Site], bool], TensorCore | Digital] | Sequence[SiteRule],
    ):
        if isinstance(rules, Mapping):
            rules = [SiteRule(sites, core) for sites, core in rules.items()]
        self.default, self.rules = default, tuple(rules)
        for core in self.cores:
            if not isinstance(core, TensorCore | Digital):
                raise ValueError(f"a site runs on a TensorCore or on optics.DIGITAL, got {core!r}")
        if all(isinstance(core, Digital) for core in self.cores):
            raise ValueError("all sites are digital: name a core, as default or in a rule")

    @property
    def cores(self) -> tuple[TensorCore | Digital, ...]:
        """The default, and that of each rule."""
        return (self.default, *(rule.core for rule in self.rules))

    @property
    def machine(self) -> TensorCore:
        """The first core, whose host and digital arithmetic serve all sites."""
        return first_core(self.cores)

    @property
    def by_name(self) -> dict[str, TensorCore]:
        """The cores that are not digital, by the names that `replace` takes: "default" and "rules.0.core"."""
        return {name: core for name, core in zip(self.names, self.cores, strict=True) if isinstance(core, TensorCore)}

    @property
    def labels(self) -> tuple[str, ...]:
        """Of each of `cores`, the rule in words, as messages name it."""
        return labels_of(self.rules)

    @property
    def names(self) -> tuple[str, ...]:
        """Of each of `cores`, the name that `replace` takes."""
        return (DEFAULT, *(f"rules.{number}.core" for number in range(len(self.rules))))

    def tree_flatten(self):
        return self.cores, tuple((rule.sites, rule.steps, rule.positions, rule.heads) for rule in self.rules)

    @classmethod
    def tree_unflatten(cls, keys, cores) -> "CoresBySite":
        made = object.__new__(cls)
        made.default = cores[0]
        pairs = zip(keys, cores[1:], strict=True)
        made.rules = tuple(SiteRule(sites, core, *parts) for (sites, *parts), core in pairs)
        return made

    def each(self, function: Callable[[TensorCore], TensorCore]) -> "CoresBySite":
        """The design with every core replaced by what the function makes of it."""
        made = [core if isinstance(core, Digital) else function(core) for core in self.cores]
        return self.tree_unflatten(self.tree_flatten()[1], made)

    def with_cores(self, cores: Mapping[str, TensorCore]) -> "CoresBySite":
        """The design with other cores, by name as in `by_name`."""
        made = [cores.get(name, core) for name, core in zip(self.names, self.cores, strict=True)]
        return self.tree_unflatten(self.tree_flatten()[1], made)

    def replace(self, changes: Mapping[str, Any]) -> "CoresBySite":
        """The design with fields changed, see `TensorCore.replace`.

        Args:
            changes: by name. "adc.enob" is the field of every core, "default.adc.enob" that of the default core, and
                "rules.0.core.adc.enob" that of the core of the first rule. Those of one core come after those of all.

        Raises:
            ValueError: for a rule that there is not, a core that is digital, or as `TensorCore.replace`.
        """
        everywhere, own = {}, {name: {} for name in self.by_name}
        for name, value in changes.items():
            core, field = split_name(name)
            if not core:
                everywhere[name] = value
            elif core not in own:
                raise ValueError(f"{name!r} names no core of the design{self._instead_of(core)}")
            elif not field:
                raise ValueError(f"{name!r} is a core; a value goes into one of its fields, as {name}.adc.enob")
            else:
                own[core][field] = value
        return self.with_cores(
            {name: core.replace({**everywhere, **own[name]}) for name, core in self.by_name.items()}
            if everywhere
            else {name: self.by_name[name].replace(fields) for name, fields in own.items() if fields}
        )

    def _instead_of(self, name: str) -> str:
        """The end of a message about a core that is not in `by_name`."""
        if name in self.names:
            return f": it is digital, by the rule {self.labels[self.names.index(name)]}"
        return nearest(name, list(self.by_name))

    def numbers(self) -> dict[str, Number]:
        """Every number of every core, by the names that `replace` takes."""
        return {
            f"{name}.{field}": value for name, core in self.by_name.items() for field, value in core.numbers().items()
        }

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`, given all sites of the function; the message names the rule.

        A run that was compiled warns of nothing where the numbers of its cores are arguments, as those of one core.
        """
        reviewed = [site for site in sites if not readings or site.name in readings]
        self.assign(sites).review(reviewed, readings)

    def assign(self, sites: Sequence[Site]) -> "AssignedCores":
        """The core of each of these sites. Raises ValueError, see the class."""
        check_rules(self.rules, sites)
        rules = tuple(dataclasses.replace(rule, core=DIGITAL) for rule in self.rules)
        return AssignedCores(self.cores, (), rules, {}).assign(sites)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("CoresBySite has cores for the sites of a function: run it through optics.emulate")

    observe = matmul


# One core, or a core for each site.
Machine = TensorCore | CoresBySite
MachineT = TypeVar("MachineT", bound=Machine)


def cores_by_name(machine: Machine) -> dict[str, TensorCore]:
    """The cores of a machine that are not digital, by the names that `replace` takes; "" is that of one core alone."""
    return machine.by_name if isinstance(machine, CoresBySite) else {"": machine}


def host_core(machine: Machine) -> TensorCore:
    """The core whose host and digital arithmetic serve all sites: of a design its first one."""
    return machine.machine if isinstance(machine, CoresBySite) else machine
