"""Rules that stretch rotary frequencies to a longer context."""

import dataclasses
import math

import numpy as np

from models.shape.checks import require_count, require_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Llama 3.1's scaling of its rotary frequencies to a longer context.

    Frequencies whose wavelength exceeds `original_context / low_frequency_factor` positions are
    divided by `factor`, those below `original_context / high_frequency_factor` are unchanged, and
    those between are interpolated. All fields are pure numbers except `original_context`
    (positions). Source: the `rope_type: "llama3"` rule of Hugging Face transformers.

    Raises:
        ValueError: if a field lies outside its range.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_context: int

    def __post_init__(self) -> None:
        require_number(self, "factor", at_least=1.0)
        require_number(self, "low_frequency_factor")
        require_number(self, "high_frequency_factor")
        require_count(self, "original_context")
        if self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError(
                f"RopeScaling.high_frequency_factor is {self.high_frequency_factor!r}; it must be "
                f"above low_frequency_factor, which is {self.low_frequency_factor!r}"
            )

    @property
    def amplitude(self) -> float:
        """Factor of cosines and sines."""
        return 1.0

    def divisors(self, frequencies: np.ndarray) -> np.ndarray:
        """Return the divisor of each frequency [radians per position]: from 1 (fast) to `factor` (slow)."""
        turns = self.original_context * frequencies / (2 * np.pi)
        band = self.high_frequency_factor - self.low_frequency_factor
        fast = np.clip((turns - self.low_frequency_factor) / band, 0.0, 1.0)
        return 1.0 / (fast + (1.0 - fast) / self.factor)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Division of all rotary frequencies by `factor`, as in the larger models of Gemma 3.

    Raises:
        ValueError: if `factor` is below 1.
    """

    factor: float

    def __post_init__(self) -> None:
        require_number(self, "factor", at_least=1.0)

    @property
    def amplitude(self) -> float:
        """Factor of cosines and sines."""
        return 1.0

    def divisors(self, frequencies: np.ndarray) -> np.ndarray:
        """Return the divisor of each frequency."""
        return np.full_like(frequencies, self.factor)


@dataclasses.dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """YaRN (arXiv 2309.00071): slow frequencies are divided by `factor`, fast ones kept, and scores are sharpened.

    Between features that turn `fast_turns` and `slow_turns` times in `original_context` positions the divisor is
    interpolated, linearly in the number of the feature. Source: `_compute_yarn_parameters` of Hugging Face
    transformers.

    Attributes:
        factor: of the context.
        original_context: positions that the model was trained for at first.
        fast_turns, slow_turns: `beta_fast` and `beta_slow`.
        amplitude: factor of cosines and sines, so that scores grow by its square.
        truncate: whether the ends of the interpolation are rounded outwards to whole features.

    Raises:
        ValueError: if a field lies outside its range.
    """

    factor: float
    original_context: int
    fast_turns: float = 32.0
    slow_turns: float = 1.0
    amplitude: float = 1.0
    truncate: bool = True

    def __post_init__(self) -> None:
        require_number(self, "factor", at_least=1.0)
        require_count(self, "original_context")
        for name in ("fast_turns", "slow_turns", "amplitude"):
            require_number(self, name)

    def divisors(self, frequencies: np.ndarray) -> np.ndarray:
        """Return the divisor of each frequency, radians per position [head_dim / 2]."""
        half = len(frequencies)
        # Frequencies are theta^(-i / half), from 1 on.
        step = -math.log(frequencies[1]) if half > 1 else 1.0
        first, last = (
            math.log(self.original_context / (turns * 2 * math.pi)) / step
            for turns in (self.fast_turns, self.slow_turns)
        )
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, 2 * half - 1)
        slow = np.clip((np.arange(half) - first) / max(last - first, 1e-3), 0.0, 1.0)
        return 1.0 / (1.0 - slow + slow / self.factor)


Scaling = RopeScaling | LinearScaling | YarnScaling


def yarn_amplitude(factor: float, weight: float = 1.0) -> float:
    """Return 0.1 w ln(factor) + 1, by which YaRN sharpens scores of a context that is `factor` times as long.

    Args:
        factor: of the context; below 1 it counts as 1.
        weight: w, DeepSeek's `mscale`.
    """
    return 0.1 * weight * math.log(max(factor, 1.0)) + 1.0
