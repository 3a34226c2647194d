"""What `otc train` writes: one row for each core, light, seed and method."""

from typing import NotRequired, TypedDict


class TrainedRow(TypedDict):
    """One network, as it was or after training, on one core.

    method: "none" of the starting point; "digital" for training without noise; "gaussian" for plain Gaussian noise of
    the size of the core's, relative to the outputs, "fixed_gaussian" of a fixed size; "light" for the emulation;
    "codesign" for the emulation with numbers of the core trained too. figures: by name, on examples that neither
    training nor the choice of the best state saw, under fresh noise. start_in_training, in_training: the same of the
    starting point and of the trained network under the plain noise that it was trained under. snr_db: by site, on one
    batch; None where it is infinite. launched: photons per MAC at the drive of the network as it is, which training
    changes; None of a design. watts: of the products at 1 exaOPS, for that drive. hardware: trained numbers of the
    core. curve: the compared figure by step, on data held out.
    """

    core: str
    photons: float | None
    seed: int
    method: str
    figures: dict[str, float]
    draw_stderr: float | None
    snr_db: dict[str, float | None]
    launched: float | None
    watts: float
    steps: int
    best_step: int
    stopped: str
    seconds_per_step: float | None
    start_in_training: NotRequired[dict[str, float]]
    in_training: NotRequired[dict[str, float]]
    hardware: NotRequired[dict[str, float]]
    curve: NotRequired[list[tuple[int, float]]]
    folder: NotRequired[str]


class Recovery(TypedDict):
    """Means over the seeds and their standard errors; None of a single seed.

    loss: the compared figure. recovered: share of what noise costs the starting point, (start - end) / (start - exact).
    recovered_in_training: the same under the plain noise that a network was trained under. over_gaussian: recovered
    less that of "gaussian", seed by seed.
    """

    core: str
    photons: float | None
    method: str
    loss: float
    loss_stderr: float | None
    recovered: float
    recovered_stderr: float | None
    recovered_in_training: float | None
    recovered_in_training_stderr: float | None
    over_gaussian: float | None
    over_gaussian_stderr: float | None
    launched: float | None
    watts: float
    watts_stderr: float | None
    seeds: int


class TrainSummary(TypedDict):
    """The content of summary.json."""

    name: str
    figure: str
    seeds: list[int]
    draws: int
    options: dict
    exact: dict[str, dict[str, float]]
    rows: list[TrainedRow]
    recovery: list[Recovery]
    versions: dict[str, str]
