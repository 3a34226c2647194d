"""What summary.json of `otc generate` holds."""

from typing import TypedDict


class TextRecord(TypedDict):
    """A text that a machine has written.

    Attributes:
        text: decoded, the token that ends it included.
        tokens: their numbers.
        stopped: whether the last token ends the text.
        tokens_per_second: decode steps of the host that computes or emulates, or None before the second one.
    """

    text: str
    tokens: list[int]
    stopped: bool
    tokens_per_second: float | None


class CoreRecord(TextRecord):
    """A text on light, and how far it is from the digital one.

    Attributes:
        name: of the core.
        effective_bits: that its light is sized for, or None for the light it has.
        photons_per_mac: launched, at the mean drive of the core; None for a design with several cores.
        agreement: share of places of the digital text where the core chose the same next token after the same text.
        first_divergence: tokens of its own text before the first that is another than the digital one, or None.
        kl: divergence of its prediction from the digital one, at each place of the digital text [nats].
        prefill_j: energy of the prompt [J].
        decode_j: energy of the decode steps of its own text [J].
    """

    name: str
    effective_bits: float | None
    photons_per_mac: float | None
    agreement: float | None
    first_divergence: int | None
    kl: list[float]
    prefill_j: float
    decode_j: float


class GenerateSummary(TypedDict):
    """The content of summary.json."""

    model: str
    core: str
    prompt: str
    chat: bool
    prompt_tokens: int
    tokens: int
    temperature: float
    top_k: int | None
    top_p: float
    seed: int
    interrupted: bool
    digital: TextRecord
    cores: list[CoreRecord]
    bill_rests_on: dict[str, list[str]]
    versions: dict[str, str]
