"""The machinery of the checks: what it sees by itself, and what it says of it."""

import contextlib
import io
import math
import random
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from belamy.check import Check, Fresh, Wrong, own_number
from belamy.errors import BelamyError


def energy(x, weight):
    """Half the weighted sum of squares of each example."""
    return 0.5 * (weight * x.square()).flatten(1).sum(1)


def draw(fresh):
    batch, side = fresh.sizes((8, 20), (3, 7))
    return fresh.normal(batch, side, side), fresh.uniform(side, side, low=0.5)


RETURNS = "a tensor (batch,)"
CHECK = Check(energy, draw, RETURNS, gradients=("x", "weight"))


def reason(answer, check=CHECK, seed=0):
    with pytest.raises(Wrong) as told:
        check(answer, seed=seed)
    return str(told.value)


def test_a_right_answer_is_told_so_in_one_line(capsys):
    CHECK(lambda x, weight: torch.einsum("bij,ij,bij->b", x, weight, x) / 2)
    assert capsys.readouterr().out == "Right: values at 3 draws; gradients of x, weight.\n"


def test_wrong_is_an_error_of_the_library_and_an_assertion_and_shows_its_reason_alone():
    wrong = Wrong("the sign is turned")
    assert isinstance(wrong, BelamyError) and isinstance(wrong, AssertionError)
    assert wrong._render_traceback_() == ["Not yet right: the sign is turned"]


def test_a_starter_is_told_in_a_sentence_that_shows_no_line_of_the_check():
    def starter(x=None, weight=None):
        raise NotImplementedError

    for check in (CHECK, partial(own_number, right=1.0, mistakes={})):
        with pytest.raises(NotImplementedError) as told:
            check(starter)
        sentence = "Not answered yet: `starter` still has the starter's `raise NotImplementedError`."
        assert told.value._render_traceback_() == [sentence] and isinstance(told.value, BelamyError)


def test_torch_s_own_error_of_that_name_is_no_starter():
    def unfinished(x, weight):
        raise NotImplementedError("Could not run 'aten::add' with arguments from the 'Meta' backend")

    with pytest.raises(Wrong, match="stops with NotImplementedError: Could not run"):
        CHECK(unfinished)


def test_a_number_s_function_that_stops_or_is_none_is_told_so():
    def broken():
        return undefined_name  # noqa: F821

    with pytest.raises(Wrong, match="stops with NameError: .*undefined_name"):
        own_number(broken, 1.0, {})
    with pytest.raises(Wrong, match="here came a float"):
        own_number(1.0, 1.0, {})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (energy(*draw(Fresh(0))), "takes the function itself"),
        (lambda x: x, r"must take (x, weight)"),
        (lambda x, weight: None, "`return` missing"),
        (lambda x, weight: energy(x, weight).numpy(), "a numpy array where a torch tensor is meant"),
        (lambda x, weight: energy(x, weight).tolist(), "a list where a torch tensor"),
        (lambda x, weight: energy(x, weight).sum().item(), "a float where a torch tensor is meant"),
        (lambda x, weight: nn.Parameter(energy(x, weight)), "a parameter where a torch tensor"),
        (lambda x, weight: energy(x, weight).double(), "float64 where float32 is meant"),
        (lambda x, weight: energy(x, weight)[:, None], "1) where ("),
        (lambda x, weight: energy(x, weight).sum(), "took the sum over the batch"),
        (lambda x, weight: energy(x, weight).mean(), "took the mean over the batch"),
        (lambda x, weight: x @ torch.ones(2), "stops with RuntimeError: "),
        (lambda x, weight: energy(x.mul_(1.5), weight), "changes its argument `x`"),
        (lambda x, weight: energy(x, weight) + torch.rand(()), "two different answers"),
        (lambda x, weight: -energy(x, weight), "sign is turned"),
        (lambda x, weight: 2 * energy(x, weight), "2.00 times the right value: a factor ½ is missing"),
        (lambda x, weight: -energy(x, weight) / 2, "the sign is turned, and a factor ½ too many"),
        (lambda x, weight: 3 * energy(x, weight), "Yours is 3.00 times the right value"),
        (lambda x, weight: energy(x, weight) / math.log(2), "bits"),
        (lambda x, weight: energy(x, weight) / len(x), "mean over the examples of the batch where the sum"),
        (lambda x, weight: energy(x, weight) / x[0].numel(), "mean over the numbers of an example"),
        (lambda x, weight: energy(x, weight) * len(x), "summed over the examples of the batch where the mean"),
        (lambda x, weight: energy(x, weight).log(), "the logarithm of the right value"),
        (lambda x, weight: energy(x, weight).sqrt(), "the square root of the right value"),
        (lambda x, weight: energy(x, weight) + 1.5, "always 1.50 above the right value"),
        (lambda x, weight: energy(x, weight) - len(x), "below the right value"),
        (lambda x, weight: energy(x, weight) * 0, "always 0"),
        (lambda x, weight: energy(x, weight) / 0, "inf or nan"),
        (lambda x, weight: energy(x, weight + 0.1 * weight[0]), "The values differ. In one draw yours is"),
        (lambda x, weight: torch.cat([energy(x, weight)[:-1], torch.ones(1)]), " 1 of "),
        (lambda x, weight: energy(x.detach(), weight), "no gradient reaches `x`"),
        (lambda x, weight: energy(x, weight).detach(), "no gradient reaches `x`"),
        (lambda x, weight: 2 * energy(x, weight) - energy(x, weight).detach(), "gradient of `x` is not. Yours is 2.00"),
    ],
)
def test_what_is_wrong_is_said_without_help(answer, told):
    assert told in reason(answer)


@pytest.mark.parametrize("seed", range(8))
def test_a_sum_is_told_from_a_mean_in_any_draw(seed):
    assert "summed over the examples" in reason(lambda x, weight: energy(x, weight) * len(x), seed=seed)


def test_an_object_that_claims_to_be_equal_is_no_tensor():
    class Tensor(torch.Tensor):
        def __eq__(self, other):
            return torch.ones(self.shape, dtype=torch.bool)

    assert "a Tensor where a torch tensor" in reason(lambda x, weight: energy(x, weight).as_subclass(Tensor))


def test_an_error_is_told_with_the_line_of_the_answer():
    def answer(x, weight):
        return x @ torch.ones(2)

    assert "(at `return x @ torch.ones(2)`)" in reason(answer)


def test_the_first_named_mistake_that_fits_is_named_and_its_factor_measured():
    named = Check(energy, draw, RETURNS, mistakes={
        "Never this.": lambda x, weight: 7 * energy(x, weight),
        "The weight is missing.": lambda x, weight: energy(x, 1 + 0 * weight),
        "You forgot the half.": lambda x, weight: 2 * energy(x, weight),
        "This breaks.": lambda x, weight: x @ weight[0, 0, 0],
    })  # fmt: skip
    assert reason(lambda x, weight: x.square().sum((1, 2)) / 2, named).startswith("The weight is missing.")
    told = reason(lambda x, weight: (weight * x.square()).sum((1, 2)), named)
    assert told.startswith("You forgot the half. In one draw yours is 2.00 times the right value: ")
    both = reason(lambda x, weight: -x.square().sum((1, 2)) / 2, named)
    assert both.startswith("Two things at once. The weight is missing. Besides: The sign is turned")


def test_a_gradient_that_should_not_be_there_and_a_mistake_in_it_are_named():
    held = Check(lambda x, weight: energy(x.detach(), weight), draw, RETURNS, gradients=("x", "weight"))
    assert "a gradient reaches `x`, where none should" in reason(energy, held)
    half = lambda x, weight: 0.5 * energy(x, weight) + 0.5 * energy(x, weight).detach()
    named = Check(energy, draw, RETURNS, {"Half of it is detached.": half}, ("x",))
    assert reason(half, named).startswith("The values are right, the gradient is not. Half of it is detached.")


def test_the_gradient_of_a_module_is_that_of_its_parameters():
    def with_net(fresh):
        torch.manual_seed(fresh.seed)
        return nn.Linear(3, 2), fresh.normal(fresh.integer(4, 9), 3)

    score = lambda net, x: net(x).square().mean()
    check = Check(score, with_net, "a tensor without axes", gradients=("net", "x"))
    check(lambda net, x: (net(x) ** 2).sum() / (2 * len(x)))
    fixed = lambda net, x: (x @ net.weight.detach().T + net.bias.detach()).square().mean()
    assert "no gradient reaches `net`" in reason(fixed, check)


def test_dicts_tuples_and_numbers_are_looked_at_part_by_part():
    both = Check(lambda x, weight: {"a": energy(x, weight), "b": (x.mean().item(), 3)}, draw, "a dict")
    both(lambda x, weight: {"b": [x.mean().item(), 3], "a": energy(x, weight)})
    assert "with a; meant is a dict with a, b" in reason(lambda x, weight: {"a": 1}, both)
    assert "Under 'b' your function returns 1 values; meant are 2" in reason(
        lambda x, weight: {"a": energy(x, weight), "b": (1.0,)}, both
    )
    assert "At place 1 your function returns a torch tensor where a float" in reason(
        lambda x, weight: {"a": energy(x, weight), "b": (x.mean(), 3)}, both
    )


def test_what_an_argument_may_have_been_taken_for_holds_numbers():
    """LAPACK ends the process on NaN: a reader's kernel, too."""
    seen = []

    def spread(x):
        seen.append(bool(x.isfinite().all()))
        return x.square().sum()

    check = Check(spread, lambda fresh: (fresh.normal(5),), "one number")
    with pytest.raises(Wrong):
        check(lambda x: x.square().sum() + x[0] ** 3)
    assert len(seen) > 10 and all(seen)


def test_extremes_find_what_overflows_and_what_loses_its_digits():
    softplus = lambda input: nn.functional.softplus(input)
    check = Check(softplus, lambda f: (f.normal(9),), "(N,)", extremes=lambda f: (f.normal(9, scale=500),))
    check(lambda input: torch.logaddexp(input, torch.zeros(())))
    told = reason(lambda input: (1 + input.exp()).log(), check)
    assert "overflows to inf or nan" in told and "(`input` from −" in told and "Yours is inf where " in told
    assert "not exact" in reason(lambda input: (1 + input.clamp(max=80).exp()).log(), check)


def test_a_gradient_that_is_lost_near_0_alone_is_told_so():
    ratio = lambda x: torch.sinc(x / math.pi)
    check = Check(ratio, lambda f: (f.normal(9, 9, scale=0.2) + 0.1,), "(N, N)", gradients=("x",))
    flat = lambda x: torch.where(x.abs() < 0.01, torch.ones_like(x), x.sin() / x)
    check(ratio)
    told = reason(lambda x: torch.where(x.abs() < 0.1, x.detach().sin() / x.detach(), flat(x)), check)
    assert "off only near 0, up to 0.0" in told and "the branch it does not take" in told


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: -2.48702, "`<lambda>` returns −2.4870, which is not the right number."),
        (lambda: (3, 5438), "returns a tuple where a plain number is meant. Python's decimal sign is a point"),
        (lambda: 3.54, "Right to 2 decimals: give 4."),
        (lambda: 3.543, "Right to 3 decimals: give 4."),
        (lambda: 3.544, "Right to 3 decimals: give 4."),
        (lambda: 3.5, "Right to 1 decimal: give 4."),
        (lambda: 3.6, "returns 3.6000, which is not"),
        (lambda: 3.5441, "returns 3.5441, which is not"),
        (lambda: 1.0, "You forgot the mean."),
    ],
)
def test_a_number_that_is_not_right_is_shown_and_one_cut_short_is_told_so(answer, told, capsys):
    check = lambda answer: own_number(answer, 3.54382, {"You forgot the mean.": 1.0})
    check(lambda: 3.5438)
    assert capsys.readouterr().out == "Right: <lambda>, to 4 decimals.\n"
    assert told in reason(answer, lambda answer, seed: check(answer))


def test_a_ratio_is_told_once_and_numbers_with_digits_by_which_they_differ():
    told = reason(lambda x, weight: 2 * energy(x, weight))
    assert told.count("times the right value") == 1
    near = Check(lambda x: x - 10.8, lambda f: (f.normal(9, scale=1e-3),), "(N,)", rtol=1e-9, atol=1e-9)
    one, other = re.search(r"is (\S+) where (\S+) is right", reason(lambda x: x - 10.8 + x.sign() / 500, near)).groups()
    assert one != other


def test_a_sum_that_is_missing_is_told():
    rows = Check(lambda x: x.square().sum(1), lambda f: (f.normal(*f.sizes((5, 9), (10, 19))),), "(N,)")
    assert reason(lambda x: x.square(), rows).startswith("The sum over the last axis is missing. Your function")
    assert reason(lambda x: energy(x, 1), Check(lambda x: energy(x, 1).mean(), lambda f: (f.normal(9, 9),), "")
                  ).startswith("The mean over the batch is missing.")  # fmt: skip


def test_laws_alone_judge_what_an_answer_draws():
    def spread(answer, fresh):
        if abs(answer(torch.zeros(4000)).std() - 1) > 0.1:
            return "The spread must be 1."

    noisy = lambda x: x + torch.randn_like(x)
    check = Check(noisy, lambda f: (f.normal(5),), "(N,)", laws={"spread 1": spread}, random=True)
    check(lambda x: x + torch.randn(x.shape))
    assert reason(lambda x: x + 2 * torch.randn(x.shape), check) == "The spread must be 1."


def test_draws_are_fresh_unless_a_seed_is_given():
    seen = []

    def answer(x, weight):
        seen.append(x.flatten()[0].item())
        return energy(x, weight)

    with contextlib.redirect_stdout(io.StringIO()):
        for seed in (None, None, 3, 3):
            CHECK(answer, seed=seed)
    parts = np.array_split(seen, 4)
    assert not np.array_equal(parts[0], parts[1]) and np.array_equal(parts[2], parts[3])


def test_a_check_leaves_every_generator_as_it_was():
    def answer(x, weight):
        torch.randn(3), np.random.rand(), random.random()
        return energy(x, weight)

    states = [torch.get_rng_state(), np.random.get_state()[1], random.getstate()]
    CHECK(answer)
    with pytest.raises(Wrong):
        CHECK(lambda x, weight: torch.randn(3))
    after = [torch.get_rng_state(), np.random.get_state()[1], random.getstate()]
    assert torch.equal(states[0], after[0]) and np.array_equal(states[1], after[1]) and states[2] == after[2]


def test_sizes_differ_from_each_other():
    assert all(len(set(Fresh(seed).sizes((2, 4), (2, 4), (2, 4)))) == 3 for seed in range(20))


def test_a_logarithm_of_a_count_and_a_mistake_that_is_summed_besides_are_named():
    logs = Check(lambda x: x.logsumexp(1), lambda f: (f.normal(*f.sizes((5, 9), (10, 19))),), "(N,)")
    told = reason(lambda x: x.logsumexp(1) - math.log(x.shape[1]), logs)
    assert "below the right value by the logarithm of a number, that of the numbers of an example" in told
    named = Check(energy, draw, RETURNS, {"No weight.": lambda x, weight: energy(x, 1 + 0 * weight)})
    told = reason(lambda x, weight: energy(x, 1 + 0 * weight).mean(), named)
    assert told.startswith("Two things at once. No weight. Besides: You took the mean over the batch")
