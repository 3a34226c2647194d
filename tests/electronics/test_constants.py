"""Every constant has its unit, range, year, source and mark, and a malformed one does not load."""

import pytest

from electronics.constants import CONSTANTS as ELECTRICAL
from electronics.constants import Constant, parse
from optics.constants import CONSTANTS as OPTICAL


@pytest.mark.parametrize("constant", [*ELECTRICAL.values(), *OPTICAL.values()], ids=lambda c: c.name)
def test_constant_is_whole(constant):
    assert constant.source
    assert constant.unit
    assert 1900 < constant.year < 2035
    assert constant.low <= constant.value <= constant.high


def row(**changes):
    return {
        "unit": "J",
        "value": 1.0,
        "low": 0.5,
        "high": 2.0,
        "year": 2025,
        "mark": "assumed",
        "source": "s",
    } | changes


def test_assumed_prints_as_assumed():
    (constant,) = parse({"part": {"field": row()}}).values()
    assert str(constant) == "part.field = 1 J (0.5 to 2) [assumed, 2025] s"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"mark": "guessed"}, "mark 'guessed' must be one of"), ({"low": 3.0}, "part.field: low <=")],
)
def test_malformed_constant_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        parse({"part": {"field": row(**changes)}})


def test_scenarios_are_rows_of_their_own():
    inner = {key: value for key, value in row().items() if key != "unit"}
    found = parse({"adc": {"enob": {"unit": "bit", "today": inner, "later": inner | {"value": 2.0}}}})
    assert {name: constant.value for name, constant in found.items()} == {"adc.enob.today": 1.0, "adc.enob.later": 2.0}
    assert all(isinstance(constant, Constant) and constant.unit == "bit" for constant in found.values())
