"""Emulation as a transformation: products with weights run on a core, all other equations run unchanged."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from optics import checks
from optics.equations import _jax, products, shards
from optics.equations._jax import JaxprEqn, Literal
from optics.equations.ragged import Block
from optics.interpreter.call import WeightSelection, plan_call
from optics.interpreter.plan import Plan, Policy, Site, stationary
from optics.interpreter.protocols import (
    CallCheckingCore,
    Core,
    LoadableCore,
    ObservableCore,
    PartlyObservableCore,
    ReviewingCore,
    assigned,
    at_expert,
    at_scan_step,
    at_site,
    folded,
    joined,
    over_matrices,
    prepared,
)

SiteDiagnostics = dict[int, Any]
LOOP = 2**31


def emulate(
    fun: Callable,
    weights: WeightSelection = 0,
    *,
    policy: Policy = stationary,
    diagnostics: bool = False,
) -> Callable:
    """Transform `fun` so that its products with weights run on a core.

    Each `dot_general` with an operand that derives from the weights alone becomes `core.matmul`, as do convolutions
    with kernels of weights, and ragged products with a matrix of weights for each group. Captured concrete
    arrays may mask, permute or scale the weights. A complex product becomes the real product of its parts. All other
    products stay digital: `optics.report` lists them with the reason, and a `DigitalProductWarning` names those that
    stay digital for a reason other than the policy. The transformation enters jit, scan, while, cond, checkpoint,
    custom_jvp, custom_vjp, custom_vmap, composite, shard_map and pmap; the custom derivative rules are evaluated on
    exact residuals. Python bools, ints and strings among the arguments are part of `fun`, as are floats inside the
    weights.

    Each site folds its index into the key, each step of a loop its number, and each shard that holds values of its own
    its place in the mesh, so the same key gives the same result. Under a vmap that does not map the key, all members
    see the same noise.

    Args:
        fun: any JAX function.
        weights: the arrays that stand on the mask: the number of their argument; "captured" for the arrays of
            floating-point numbers that `fun` captures; several of these; or a function of the path of an array among
            the arguments, such as "0.layers.q", that says whether it is one.
        policy: which sites run on the core; `routed` adds products of weights that data select, `everything` those of
            two activations too.
        diagnostics: whether to return what was observed at each site.

    Returns:
        run(core, key, *args, **kwargs), an ordinary JAX function: jit it, vmap it over cores or keys, differentiate it
        in the weights and in the numbers of the core. With `diagnostics` it returns (result, {site name: diagnostics}),
        stacked over the steps of a scan.

    Raises:
        ValueError: from `run`, before anything is compiled, for weights that are not finite (checked only outside a
            trace), for a product with a dimension of 0, and for a product of weights inside a primitive that cannot
            be entered.
    """

    def run(core: Core, key: jax.Array, *args: Any, **kwargs: Any) -> Any:
        checks.has(core, "observe" if diagnostics else "matmul")
        call = plan_call(fun, weights, policy, args, kwargs)
        core, plan = assigned(core, call.plan)
        checks.finite_weights(call.weights)
        if isinstance(core, CallCheckingCore):
            core.check_call(call.fixed)
        outs, readings = Runner(diagnostics)(plan, prepared(core), key, call.inputs)
        result = jax.tree.unflatten(call.tree, outs)
        sites = plan.all_sites()
        named = {site.name: readings[site.index] for site in sites if site.index in readings}
        if isinstance(core, ReviewingCore):
            core.review([site for site in sites if site.optical], named)
        return (result, named) if diagnostics else result

    return run


class Runner:
    """Evaluates a plan. Every method returns (outputs, readings by site index)."""

    def __init__(self, diagnostics: bool):
        self.diagnostics = diagnostics

    def __call__(
        self, plan: Plan, core: Core, key: jax.Array, args: Sequence[Any]
    ) -> tuple[list[Any], SiteDiagnostics]:
        env = dict(zip(plan.jaxpr.constvars, plan.consts, strict=True))
        env.update(zip(plan.jaxpr.invars, args, strict=True))
        readings: SiteDiagnostics = {}
        for number, eqn in enumerate(plan.jaxpr.eqns):
            values = [atom.val if isinstance(atom, Literal) else env[atom] for atom in eqn.invars]
            outs, seen = self.equation(plan, number, eqn, core, key, values)
            env.update(zip(eqn.outvars, outs, strict=True))
            readings |= seen
        return [atom.val if isinstance(atom, Literal) else env[atom] for atom in plan.jaxpr.outvars], readings

    def equation(self, plan: Plan, number: int, eqn: JaxprEqn, core: Core, key: jax.Array, values):
        """One equation: a product on the core, what holds one, or anything else as it stands."""
        if number in plan.sites and plan.sites[number].optical:
            return self.product(plan.sites[number], eqn, core, key, values)
        if number in plan.inner and any(inner.holds_optical() for inner in plan.inner[number]):
            return self.enter(plan, number, eqn, core, key, values)
        return _jax.bind(eqn, values), {}

    def enter(self, plan: Plan, number: int, eqn: JaxprEqn, core: Core, key: jax.Array, values):
        """The jaxprs inside an equation."""
        return getattr(self, _jax.kind(eqn))(eqn, plan.inner[number], core, key, values)

    def product(self, site: Site, eqn: JaxprEqn, core: Core, key: jax.Array, values):
        """The product, the convolution or the ragged product of a site as matrix products on the core."""
        w = products.weight_matrices(eqn, values, site.weights_first)
        core = at_site(core, site.name)
        multiply = self.multiplier(core, site, w) if site.matrices == 1 else None
        # Turned before the loop over blocks, where XLA would otherwise copy the weights of all experts.
        experts = w.swapaxes(1, 2) if site.kind == "ragged_dot_general" else w

        def products_of(x: jax.Array, key: jax.Array, block: Block | None = None) -> tuple[jax.Array, Any]:
            if block is not None:
                of_expert = self.multiplier(at_expert(core, block.expert), site, w, block.filled)
                y, seen = of_expert(x[0], jax.lax.dynamic_index_in_dim(experts, block.expert, keepdims=False), key=key)
                return y[None], seen
            if multiply is not None:
                y, seen = multiply(x[0], w[0].T, key=key)
                return y[None], seen

            def run(core: Core, *operands: jax.Array) -> tuple[jax.Array, Any]:
                y, seen = jax.vmap(lambda x, w, k: self.multiplier(core, site, w)(x, w.T, key=k))(*operands)
                return y, folded(seen)

            return over_matrices(core, run, x, w, jax.random.split(key, site.matrices))

        site_key = shards.key_of_shard(jax.random.fold_in(key, site.index), values)
        y, seen = products.evaluate(eqn, values, site.weights_first, site_key, products_of, joined)
        return [y], ({site.index: seen} if self.diagnostics else {})

    def multiplier(
        self, core: Core, site: Site, w: jax.Array, counted: jax.Array | None = None
    ) -> Callable[..., tuple[jax.Array, Any]]:
        """A function of (x, w, key) that returns the core's product and, with diagnostics, what it observed.

        Diagnostics are of the vectors `counted` alone, or of all, on a core that cannot leave any out. The kernels
        w [1, columns, rows] of a convolution are loaded here, once for the blocks of its positions.
        """
        if not self.diagnostics:
            if site.kind == "conv_general_dilated" and site.matrices == 1 and isinstance(core, LoadableCore):
                loaded = core.load(w[0].T)
                return lambda x, w, *, key: (loaded.matmul(x, key=key), ())
            return lambda x, w, *, key: (core.matmul(x, w, key=key), ())
        if not isinstance(core, ObservableCore):
            raise TypeError(f"diagnostics need a core with a method 'observe'; got {core!r}")
        if counted is not None and isinstance(core, PartlyObservableCore):
            return partial(core.observe_part, counted=counted)
        return core.observe

    def call(self, eqn, plans, core, key, values):
        """jit: inlined, the caller's own jit compiles it."""
        return self(plans[0], core, key, values)

    def shard_map(self, eqn, plans, core, key, values):
        """Each shard draws noise of its own; its diagnostics count as those of one product of several."""
        outs, seen = shards.mapped(eqn, lambda core, key, *args: self(plans[0], core, key, args))(core, key, *values)
        return outs, {site: folded(readings) for site, readings in seen.items()}

    def remat(self, eqn, plans, core, key, values):
        """checkpoint: re-emitted, or training would lose its memory saving."""
        saved = jax.checkpoint(
            lambda core, key, *args: self(plans[0], core, key, args),
            **_jax.remat(eqn)._asdict(),
        )
        return saved(core, key, *values)

    def custom_jvp(self, eqn, plans, core, key, values):
        """The emulated value with the function's own tangent rule; the core's tangent is that of the emulation."""
        emulated = jax.custom_jvp(lambda core, key, *args: self(plans[0], core, key, args))

        @emulated.defjvp
        def rule(primals, tangents):
            core, key, *args = primals
            out, seen = emulated(*primals)
            _, (from_core, seen_tangent) = jax.jvp(
                lambda core: self(plans[0], core, key, args), (core,), (tangents[0],)
            )
            _, from_args = jax.jvp(lambda *a: _jax.bind(eqn, a), tuple(args), tangents[2:])
            return (out, seen), (jax.tree.map(_add_tangents, from_core, from_args), seen_tangent)

        return emulated(core, key, *values)

    def custom_vjp(self, eqn, plans, core, key, values):
        """The emulated value with the function's own cotangent rule; the core's cotangent is that of the emulation."""
        emulated = jax.custom_vjp(lambda core, key, *args: self(plans[0], core, key, args))

        def forward(core, key, *args):
            return emulated(core, key, *args), (core, key, args)

        def backward(saved, cotangents):
            core, key, args = saved
            (to_core,) = jax.vjp(lambda core: self(plans[0], core, key, args), core)[1](cotangents)
            to_args = jax.vjp(lambda *a: _jax.bind(eqn, a), *args)[1](cotangents[0])
            return to_core, None, *to_args

        emulated.defvjp(forward, backward)
        return emulated(core, key, *values)

    def scan(self, eqn, plans, core, key, values):
        """Fold the number of each step into its key."""
        loop = _jax.scan(eqn)
        first_slice = loop.consts + loop.carry
        fixed, start, xs = values[: loop.consts], values[loop.consts : first_slice], values[first_slice:]

        loop_key = _loop_key(key, plans)
        inside = {site.name for site in plans[0].all_sites()}

        def body(carried, step):
            number, slices = step
            here = at_scan_step(core, number, inside)
            outs, seen = self(plans[0], here, jax.random.fold_in(loop_key, number), [*fixed, *carried, *slices])
            return outs[: loop.carry], (outs[loop.carry :], seen)

        steps = jnp.arange(loop.length, dtype=jnp.uint32)
        over = steps, xs
        last, (ys, seen) = jax.lax.scan(body, start, over, loop.length, reverse=loop.reverse, unroll=loop.unroll)
        return [*last, *ys], seen

    def while_loop(self, eqn, plans, core, key, values):
        """As `scan`, with diagnostics summed over the steps; those of the loop's test are dropped."""
        loop = _jax.while_loop(eqn)
        first_carried = loop.test_consts + loop.body_consts
        test_fixed, fixed = values[: loop.test_consts], values[loop.test_consts : first_carried]
        start = values[first_carried:]

        loop_key = _loop_key(key, plans)

        def run_step(plan, part, step, constants, carried):
            step_key = jax.random.fold_in(jax.random.fold_in(loop_key, step), part)
            return self(plan, core, step_key, [*constants, *carried])

        def test(state):
            step, carried, _ = state
            return run_step(plans[0], 0, step, test_fixed, carried)[0][0]

        def body(state):
            step, carried, sums = state
            outs, seen = run_step(plans[1], 1, step, fixed, carried)
            return step + 1, outs, {site: joined(sums[site], seen[site]) for site in sums}

        first = jnp.uint32(0)
        _, shapes = jax.eval_shape(lambda carried: run_step(plans[1], 1, first, fixed, carried), start)
        _, last, seen = jax.lax.while_loop(test, body, (first, start, _zeros(shapes)))
        return last, seen

    def cond(self, eqn, plans, core, key, values):
        """Run the branch taken; the diagnostics of the others are zero."""
        index, args = values[0], values[1:]
        shapes: SiteDiagnostics = {}
        for plan in plans:
            shapes |= jax.eval_shape(lambda *a, plan=plan: self(plan, core, key, a)[1], *args)

        def branch(plan):
            def run(*args):
                outs, seen = self(plan, core, key, args)
                return outs, {site: seen.get(site, _zeros(shape)) for site, shape in shapes.items()}

            return run

        return jax.lax.switch(index, [branch(plan) for plan in plans], *args)


def _loop_key(key: jax.Array, plans: Sequence[Plan]) -> jax.Array:
    """A key that no site and no other loop derives: folding in and splitting number their keys alike."""
    first = min((site.index for plan in plans for site in plan.all_sites()), default=0)
    return jax.random.fold_in(key, LOOP + first)


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, shapes)


def _add_tangents(a: jax.Array, b: jax.Array) -> jax.Array:
    return a if a.dtype == jax.dtypes.float0 else a + b
