"""Features of decoders as data: mixtures of experts, and latent attention."""

import dataclasses
from typing import Literal, get_args

from models.shape.checks import require_count, require_number

Scoring = Literal["softmax", "sigmoid"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixture of experts in place of each MLP.

    Attributes:
        experts: number of experts.
        per_token: experts that a token passes through.
        normalised: whether the shares of a token's experts are rescaled to a sum of 1.
        scoring: what makes scores of the router's products: "softmax" over all experts, or "sigmoid" of each one, to
            which a correction per expert is added for the choice alone, as DeepSeek-V3's.
        groups: groups of consecutive experts, of each of which the sum of the two best scores is taken.
        groups_per_token: groups with the largest sums, in which a token's experts are.
        scale: factor of the shares.
        shared: width of the hidden layer of an MLP that every token passes beside its experts; 0 for none.

    Raises:
        ValueError: if a field lies outside its range.
    """

    experts: int
    per_token: int
    normalised: bool = True
    scoring: Scoring = "softmax"
    groups: int = 1
    groups_per_token: int = 1
    scale: float = 1.0
    shared: int = 0

    def __post_init__(self) -> None:
        for name in ("experts", "per_token", "groups", "groups_per_token"):
            require_count(self, name)
        require_number(self, "scale")
        if self.shared != 0:
            require_count(self, "shared")
        if self.scoring not in get_args(Scoring):
            raise ValueError(f"Mixture.scoring is {self.scoring!r}; it must be one of {', '.join(get_args(Scoring))}")
        if self.per_token > self.experts:
            raise ValueError(f"Mixture.per_token is {self.per_token}; there are {self.experts} experts")
        if self.groups == 1 == self.groups_per_token:
            return
        size, rest = divmod(self.experts, self.groups)
        if rest or size < 2:
            raise ValueError(f"Mixture.groups is {self.groups}; it must share {self.experts} experts, two or more each")
        if self.groups_per_token > self.groups:
            raise ValueError(f"Mixture.groups_per_token is {self.groups_per_token}; there are {self.groups} groups")
        if self.per_token > self.groups_per_token * size:
            raise ValueError(
                f"Mixture.per_token is {self.per_token}; {self.groups_per_token} groups of {size} experts hold fewer"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (arXiv 2405.04434): one latent of a token makes the keys and values of all heads.

    A key is what its head makes of the latent, and behind it `rotary_dim` features that all heads share and that alone
    have rotary embedding. The cache holds latent and shared features.

    Attributes:
        query_rank: width of the latent that queries are made of, or None where the residual stream makes them.
        rank: width of the latent that keys and values are made of.
        rotary_dim: features of queries and keys that have rotary embedding, even; `head_dim` counts them too.
        value_dim: width of a head's values.
        norm_epsilon: of the norms of the latents.

    Raises:
        ValueError: if a field lies outside its range.
    """

    query_rank: int | None
    rank: int
    rotary_dim: int
    value_dim: int
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("rank", "rotary_dim", "value_dim"):
            require_count(self, name)
        if self.query_rank is not None:
            require_count(self, "query_rank")
        require_number(self, "norm_epsilon")
        if self.rotary_dim % 2:
            raise ValueError(f"LatentAttention.rotary_dim is {self.rotary_dim}; it must be even")
