"""Numbers as arguments: what is taken for one, and the one sentence for what is not."""

import fractions
import math

import numpy as np
import pytest

from belamy import _checks
from belamy.errors import InputError


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.arange(4)[3]], ids=lambda value: type(value).__name__
)
def test_whole_numbers_of_any_library_become_int(value):
    got = _checks.whole_number("n", value, 1)
    assert got == 3 and type(got) is int
    got = _checks.real_number("n", value)
    assert got == 3 and type(got) is float


@pytest.mark.parametrize(
    "value",
    [0, -1, True, np.True_, 3.0, np.float64(3), "3", None, [3], np.array([3, 4]), math.nan],
    ids=repr,
)
def test_what_is_no_whole_number_of_at_least_one_is_refused_in_one_sentence(value):
    with pytest.raises(InputError) as error:
        _checks.whole_number("n", value, 1)
    assert str(error.value) == f"n={value!r} must be a whole number of at least 1"


def test_bounds_belong_to_the_range_and_are_named():
    assert [_checks.whole_number("n", n, 2, 5) for n in (2, 5)] == [2, 5]
    for outside in (1, 6):
        with pytest.raises(InputError, match=f"n={outside} must be a whole number from 2 to 5"):
            _checks.whole_number("n", outside, 2, 5)
    assert _checks.whole_number("seed", 2**63 - 1, 0, _checks.MAX_SEED - 1) == 2**63 - 1
    with pytest.raises(InputError, match=f"from 0 to {2**63 - 1}"):
        _checks.whole_number("seed", 2**63, 0, _checks.MAX_SEED - 1)


@pytest.mark.parametrize("value", [0.25, np.float32(0.25), np.float64(0.25), fractions.Fraction(1, 4)])
def test_real_numbers_of_any_library_become_float(value):
    got = _checks.real_number("rate", value, least=0.25, most=0.25)
    assert got == 0.25 and type(got) is float


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, True, "1", None, 1j], ids=repr
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(InputError, match="must be a finite number$"):
        _checks.real_number("rate", value)


@pytest.mark.parametrize(
    ("bounds", "value", "says"),
    [
        ({"above": 0}, 0, "rate=0 must be a finite number above 0$"),
        ({"least": 0}, -1e-9, "rate=-1e-09 must be a finite number of at least 0$"),
        ({"least": 0, "most": 1}, 1.5, "of at least 0 and of at most 1$"),
        ({"above": 0, "most": 1}, 2, "above 0 and of at most 1$"),
    ],
)
def test_bounds_of_real_numbers_are_named(bounds, value, says):
    with pytest.raises(InputError, match=says):
        _checks.real_number("rate", value, **bounds)
