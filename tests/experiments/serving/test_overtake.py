"""The map of optical prefill: engines in the frame are dots, those beyond it arrows at its edge with their number."""

from experiments.serving.model import Request
from experiments.serving.overtake import FEMTOJOULES, LOAD_SECONDS, Overtaking, draw


def test_engine_beyond_the_frame_is_an_arrow_at_its_edge(tmp_path, drawn, nothing_collides):
    joules = 1e-4 * FEMTOJOULES[None] + 10 * LOAD_SECONDS[:, None]
    presets = {"inside": (20.0, 1e-7), "cheap": (0.5, 1e-8), "slow": (100.0, 0.1)}
    draw(Overtaking(joules, {"rubin": 0.03}, presets), "a model", Request(prompt=64, output=8), tmp_path, "a basis")
    axes = drawn["serve_overtake"].axes[0]
    marked = {line.get_marker(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines}
    assert marked == {"o": (20.0, 1e-7), "<": (FEMTOJOULES[0], 1e-8), "^": (100.0, LOAD_SECONDS[-1])}
    texts = {text.get_text() for text in axes.texts}
    assert {"inside", "cheap, 0.5 fJ", "slow, 0.1 s"} <= texts
    nothing_collides(drawn["serve_overtake"])
