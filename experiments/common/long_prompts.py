"""Products and operations of prompts whose causal mask is too large to fold, from short prompts of the same model.

A causal mask leaves n (n + 1) / 2 scores of n tokens, and in a layer with a window of w < n tokens w (w + 1) / 2 +
(n - w) w. Everything else is linear in n. So three prompts that are no shorter than the windows determine each count.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import models
import optics
from optics.interpreter.folding import LARGEST

LONGEST_MASK = math.isqrt(LARGEST)
"""Tokens of the longest prompt whose mask is folded: 11,585, of 134 million entries."""
STEP = 1024


def probes(config: models.DecoderConfig, context: int) -> tuple[int, ...]:
    """Return the lengths of the short prompts that determine a long one; none where its own mask is folded.

    Args:
        config: shape of the model.
        context: tokens of the prompt.

    Raises:
        ValueError: if a window is so long that the short prompts would have masks that are too large, too.
    """
    if context <= LONGEST_MASK:
        return ()
    windows = [kind.window for kind in config.layer_kinds if kind.window is not None and kind.window < context]
    first = max([STEP, *windows])
    lengths = (first, first + STEP, first + 2 * STEP)
    if lengths[-1] > LONGEST_MASK:
        raise ValueError(
            f"context = {context} of a model with a window of {first} tokens cannot be counted: it must be at most "
            f"{LONGEST_MASK}, or the window at most {LONGEST_MASK - 2 * STEP}"
        )
    return lengths


def sites(
    whole: Sequence[optics.Site], short: Mapping[int, Sequence[optics.Site]], context: int
) -> tuple[optics.Site, ...]:
    """Return the products of a long prompt with the shares of them that the mask leaves.

    Args:
        whole: its products, for all scores.
        short: those of the short prompts, by length.
        context: tokens of the prompt.
    """

    def masked(site: optics.Site, *known: optics.Site) -> optics.Site:
        if known[-1].share == 1.0:
            return site
        macs = _at(context, {length: each.macs for length, each in zip(short, known, strict=True)})
        every = site.rows * site.columns * site.vectors * site.matrices * site.executions
        return dataclasses.replace(
            site, share=float(macs / every), hidden_by=known[-1].hidden_by, masked=known[-1].masked
        )

    return tuple(masked(*each) for each in zip(whole, *short.values(), strict=True))


def operations(short: Mapping[int, Mapping[str, float]], context: int) -> dict[str, float]:
    """Return the operations of a long prompt by name, from those of the short prompts by length."""
    names = next(iter(short.values()))
    return {name: float(_at(context, {n: counts[name] for n, counts in short.items()})) for name in names}


def with_shares(placed: Sequence[optics.Site], known: Sequence[optics.Site]) -> tuple[optics.Site, ...]:
    """Return products that were traced under another policy with the shares that are known of them."""
    by_index = {site.index: site for site in known}
    return tuple(_with_share(site, by_index[site.index]) for site in placed)


def knowing(policy: optics.Policy, known: Sequence[optics.Site]) -> optics.Policy:
    """Return the policy, asked of products with the shares that are known of them."""
    by_index = {site.index: site for site in known}
    return lambda site: policy(_with_share(site, by_index[site.index]))


def _with_share(site: optics.Site, known: optics.Site) -> optics.Site:
    return dataclasses.replace(site, share=known.share, hidden_by=known.hidden_by, masked=known.masked)


def _at(n: int, values: Mapping[int, float]) -> Fraction:
    """The parabola through three counts, at n, exactly."""

    def weight(own: int) -> Fraction:
        others = [length for length in values if length != own]
        return Fraction(math.prod(n - other for other in others), math.prod(own - other for other in others))

    return sum((Fraction(value) * weight(length) for length, value in values.items()), Fraction(0))
