"""What summary.json of `otc generate` holds."""

from typing import TypedDict


class PromptRecord(TypedDict):
    """A prompt, and the number of its tokens, those of a chat template included."""

    text: str
    tokens: int


class TextRecord(TypedDict):
    """A text that a machine has written after one prompt.

    Attributes:
        text: decoded, the token that ends it included.
        tokens: their numbers.
        stopped: whether the last token ends the text.
    """

    text: str
    tokens: list[int]
    stopped: bool


class FollowedRecord(TextRecord):
    """A text on light, and how far it is from the digital one.

    Attributes:
        agreement: share of places of the digital text where the core chose the same next token after the same text.
        first_divergence: tokens of its own text before the first that is another than the digital one, or None.
        kl: divergence of its prediction from the digital one, at each place of the digital text [nats].
    """

    agreement: float | None
    first_divergence: int | None
    kl: list[float]


class DigitalRecord(TypedDict):
    """The digital texts, in the order of the prompts.

    tokens_per_second: decode steps of this host in all texts, or None before the second one.
    """

    texts: list[TextRecord]
    tokens_per_second: float | None


class CoreRecord(TypedDict):
    """A core and its texts, in the order of the prompts.

    Attributes:
        name: of the core.
        effective_bits: that its light is sized for, or None for the light it has.
        photons_per_mac: launched, at the mean drive of the core; None for a design with several cores.
        texts: that it has written.
        agreement: over the places of all digital texts.
        kl: mean over the places of all digital texts [nats].
        tokens_per_second: decode steps of the host that emulates in all texts, or None before the second one.
        prefill_j: energy of the prompts [J].
        decode_j: energy of the decode steps, up to the end of the longest text [J].
    """

    name: str
    effective_bits: float | None
    photons_per_mac: float | None
    texts: list[FollowedRecord]
    agreement: float | None
    kl: float | None
    tokens_per_second: float | None
    prefill_j: float
    decode_j: float


class GenerateSummary(TypedDict):
    """The content of summary.json."""

    model: str
    core: str
    attention: str
    prompts: list[PromptRecord]
    chat: bool
    tokens: int
    temperature: float
    top_k: int | None
    top_p: float
    seed: int
    interrupted: bool
    digital: DigitalRecord
    cores: list[CoreRecord]
    bill_rests_on: dict[str, list[str]]
    versions: dict[str, str]
