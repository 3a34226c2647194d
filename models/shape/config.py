"""The shape of a decoder: sizes, and the features in which families of models differ, as data."""

import dataclasses
from typing import Literal, NamedTuple, get_args

from models.shape.checks import require_count, require_flags, require_number
from models.shape.features import LatentAttention, Mixture
from models.shape.rope_scaling import Scaling
from models.shape.rotation import Rotation

Activation = Literal["silu", "gelu_tanh", "clamped_swiglu"]
LINEAR = ("q", "k", "v", "o", "router", "gate", "up", "down")
LATENT_LINEAR = tuple(name for name in LINEAR if name not in ("k", "v"))


class LayerKind(NamedTuple):
    """What may differ between the layers of a model.

    Attributes:
        window: number of positions, itself included, that a position attends to, or None for all before it.
        rope_theta: base of the rotary frequencies, or None for no rotary embedding.
        scaled: whether the model's rotary scaling applies.
    """

    window: int | None
    rope_theta: float | None
    scaled: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The static shape of a decoder: hashable, so it may be a static argument of `jit`.

    With the defaults of the optional fields it is Llama's.

    Attributes:
        hidden: width of the residual stream.
        intermediate: width of the hidden layer of an MLP, or of an expert.
        layers: number of transformer blocks.
        heads: query heads.
        kv_heads: key and value heads, a divisor of `heads`.
        head_dim: width of a head, even.
        vocabulary: number of tokens.
        context: longest sequence that the model is trained for, in tokens.
        tied_head: whether the output matrix is the transposed embedding.
        rope_theta: base of the rotary frequencies.
        rope_scaling: change of the rotary frequencies for a longer context, or None.
        norm_epsilon: added to the mean square in RMSNorm.
        biases: the matrices that have a bias, names out of `LINEAR`.
        query_key_norm: whether each head of queries and keys is normed.
        post_norms: whether the outputs of attention and MLP are normed before they are added.
        offset_norms: whether gains of norms are stored less 1 and multiply in float32, as Gemma's.
        activation: of the gate of an MLP. "clamped_swiglu" is that of gpt-oss.
        embedding_scale: factor of the embedding, or None.
        score_scale: factor of attention scores; None for head_dim^-1/2.
        score_cap, logit_cap: c in c tanh(x / c) of scores and of logits, or None.
        window: positions that a layer with a sliding window attends to, itself included, or None.
        windowed: for each layer whether it has the window; empty for all.
        window_rope_theta: base of the rotary frequencies of layers with a window, which are then unscaled; None for
            those of the others.
        rotary: for each layer whether it has rotary embedding; empty for all.
        mixture: experts in place of the MLP, or None.
        sinks: whether each head has a score of its own for attending to nothing.
        latent: latent attention in place of keys and values of their own, or None.
        dense_layers: layers at the begin that have an MLP of width `dense_intermediate` in place of the mixture.
        dense_intermediate: width of the hidden layer of that MLP.
        down_rotation: of the hidden layer of each MLP before `down`, whose rows are rotated alike, or None.

    Raises:
        ValueError: if a field lies outside its range; the message names field, value and range.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    tied_head: bool
    rope_theta: float
    rope_scaling: Scaling | None = None
    norm_epsilon: float = 1e-5
    biases: tuple[str, ...] = ()
    query_key_norm: bool = False
    post_norms: bool = False
    offset_norms: bool = False
    activation: Activation = "silu"
    embedding_scale: float | None = None
    score_scale: float | None = None
    score_cap: float | None = None
    logit_cap: float | None = None
    window: int | None = None
    windowed: tuple[bool, ...] = ()
    window_rope_theta: float | None = None
    rotary: tuple[bool, ...] = ()
    mixture: Mixture | None = None
    sinks: bool = False
    latent: LatentAttention | None = None
    dense_layers: int = 0
    dense_intermediate: int | None = None
    down_rotation: Rotation | None = None

    def __post_init__(self) -> None:
        for name in ("hidden", "intermediate", "layers", "heads", "kv_heads", "head_dim", "vocabulary", "context"):
            require_count(self, name)
        for name in ("rope_theta", "norm_epsilon"):
            require_number(self, name)
        for name in ("embedding_scale", "score_scale", "score_cap", "logit_cap", "window_rope_theta"):
            if getattr(self, name) is not None:
                require_number(self, name)
        if self.window is not None:
            require_count(self, "window")
        require_flags(self, "windowed", self.layers)
        require_flags(self, "rotary", self.layers)
        if self.latent is None and self.head_dim % 2:
            raise ValueError(
                f"DecoderConfig.head_dim is {self.head_dim}; it must be even, since rotary "
                "embedding turns pairs of features"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"DecoderConfig.kv_heads is {self.kv_heads}; it must divide heads, which is {self.heads}")
        for name in ("tied_head", "query_key_norm", "post_norms", "offset_norms", "sinks"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"DecoderConfig.{name} is {getattr(self, name)!r}; it must be True or False")
        if not isinstance(self.rope_scaling, Scaling | None):
            raise ValueError(
                f"DecoderConfig.rope_scaling is {self.rope_scaling!r}; it must be a RopeScaling, LinearScaling or "
                "YarnScaling, or None"
            )
        if not isinstance(self.mixture, Mixture | None):
            raise ValueError(f"DecoderConfig.mixture is {self.mixture!r}; it must be a Mixture or None")
        if not isinstance(self.down_rotation, Rotation | None):
            raise ValueError(f"DecoderConfig.down_rotation is {self.down_rotation!r}; it must be a Rotation or None")
        if self.activation not in get_args(Activation):
            raise ValueError(
                f"DecoderConfig.activation is {self.activation!r}; it must be one of {', '.join(get_args(Activation))}"
            )
        known = LINEAR if self.latent is None else LATENT_LINEAR
        if unknown := set(self.biases) - set(known):
            raise ValueError(f"DecoderConfig.biases holds {min(unknown)!r}; known: {', '.join(known)}")
        self._check_latent()
        self._check_dense_layers()

    def _check_latent(self) -> None:
        if not isinstance(self.latent, LatentAttention | None):
            raise ValueError(f"DecoderConfig.latent is {self.latent!r}; it must be a LatentAttention or None")
        if self.latent is None:
            return
        if self.latent.rotary_dim >= self.head_dim:
            raise ValueError(
                f"LatentAttention.rotary_dim is {self.latent.rotary_dim}; it must be below head_dim, {self.head_dim}"
            )
        for name, value in (("kv_heads", self.heads), ("query_key_norm", False), ("sinks", False)):
            if getattr(self, name) != value:
                raise ValueError(
                    f"DecoderConfig.{name} is {getattr(self, name)!r}; with latent attention it must be {value!r}"
                )

    def _check_dense_layers(self) -> None:
        dense, most = self.dense_layers, self.layers - 1 if self.mixture else 0
        if isinstance(dense, bool) or not isinstance(dense, int) or not 0 <= dense <= most:
            raise ValueError(
                f"DecoderConfig.dense_layers is {dense!r}; it must be an integer from 0 to {most}: fewer than "
                "there are layers, and none without a mixture"
            )
        if dense:
            require_count(self, "dense_intermediate")

    @property
    def rotary_dim(self) -> int:
        """Features of a query or key that have rotary embedding."""
        return self.head_dim if self.latent is None else self.latent.rotary_dim

    @property
    def parts(self) -> "dict[str, DecoderConfig]":
        """The model by its stacks of like layers, each as a model of those layers alone: "layers", after "dense"."""
        if not self.dense_layers:
            return {"layers": self}
        first = self.dense_layers
        rest = dataclasses.replace(
            self,
            layers=self.layers - first,
            windowed=self.windowed[first:],
            rotary=self.rotary[first:],
            dense_layers=0,
            dense_intermediate=None,
        )
        dense = dataclasses.replace(
            rest,
            layers=first,
            windowed=self.windowed[:first],
            rotary=self.rotary[:first],
            intermediate=self.dense_intermediate,
            mixture=None,
            biases=tuple(name for name in self.biases if name != "router"),
        )
        return {"dense": dense, "layers": rest}

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, in their order."""
        windowed = self.windowed or (self.window is not None,) * self.layers
        rotary = self.rotary or (True,) * self.layers
        return tuple(self._kind(*flags) for flags in zip(windowed, rotary, strict=True))

    def _kind(self, windowed: bool, rotary: bool) -> LayerKind:
        window = self.window if windowed else None
        if not rotary:
            return LayerKind(window, None, False)
        if window is not None and self.window_rope_theta is not None:
            return LayerKind(window, self.window_rope_theta, False)
        return LayerKind(window, self.rope_theta, self.rope_scaling is not None)


def all_but_every(period: int, layers: int) -> tuple[bool, ...]:
    """Return for each layer whether it is none of every `period`-th."""
    return tuple(bool((layer + 1) % period) for layer in range(layers))


def head_width(hidden: int, heads: int) -> int:
    """Return the width of a head where a file lacks it: that of the residual stream over the number of heads.

    Raises:
        ValueError: if `hidden` is not a whole multiple of `heads`.
    """
    if not (isinstance(hidden, int) and isinstance(heads, int) and heads > 0) or hidden % heads:
        raise ValueError(f"no head width is given, and {hidden!r} cannot be shared by {heads!r} heads")
    return hidden // heads
