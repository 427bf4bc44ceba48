"""The page on augmentation: no synthetic picture crosses a fold."""

from collections import namedtuple

import pytest
import torch
from conftest import ROOT
from torch.nn import functional as F

from tools.book import read

Data, Made = namedtuple("Data", "x y"), namedtuple("Made", "x y seen")


@pytest.fixture
def page():
    """What the page's cell on the order of splitting and fitting defines, with a classifier that learns nothing."""
    cell = next(cell for cell in read(ROOT / "chapters" / "augmentation.ipynb").cells if cell.get("id") == "au-judge")
    trained = []

    def classifier(data, index, change, made, mix):
        trained.append((index, made))
        return lambda x: torch.zeros(*x.shape[:2], data.y.shape[1])

    names = {"torch": torch, "classifier": classifier, "untouched": lambda x, noise: x, "trained": trained}
    exec(cell.source, names)
    return names


@pytest.fixture
def few():
    data = Data(torch.rand(12, 4, generator=torch.Generator().manual_seed(0)), F.one_hot(torch.arange(12) % 3, 3))
    train = torch.tensor([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])  # two copies, each with a fold of its own
    return data, train, train.flip(0)


def copier(data, index, change):
    return Made(data.x[index], data.y[index], index)


def test_a_maker_is_shown_the_training_part_alone(page, few):
    data, train, test = few
    shown = []

    def spy(data, index, change):
        shown.append(index)
        return copier(data, index, change)

    _, truth, made = page["judge"](data, train, test, maker=spy)
    assert torch.equal(shown[0], train) and torch.equal(made.seen, train)
    assert torch.equal(truth, data.y[test].argmax(2))
    assert not (made.x[:, :, None] == data.x[test][:, None]).all(3).any()


@pytest.mark.parametrize("lost", [slice(None), slice(0, 1), slice(1, 2)], ids=["both copies", "one", "the other"])
def test_a_synthetic_picture_that_crosses_a_fold_stops_the_test(page, few, lost):
    data, train, test = few
    seen = train.clone()
    seen[lost, 0] = test[lost, 0]  # its maker saw one example of the test
    with pytest.raises(page["Leak"], match="has crossed the fold"):
        page["judge"](data, train, test, made=Made(data.x[seen], data.y[seen], seen))
    assert page["trained"] == []


def test_a_maker_that_is_fitted_on_everything_stops_the_test(page, few):
    data, train, test = few
    every = torch.cat([train, test], 1)
    with pytest.raises(page["Leak"], match="has crossed the fold"):
        page["judge"](data, train, test, maker=lambda data, index, change: copier(data, every, change))


def test_an_example_in_both_parts_stops_the_test(page, few):
    data, train, _ = few
    with pytest.raises(page["Leak"], match="both parts"):
        page["judge"](data, train, train)


def test_copies_have_folds_of_their_own(page):
    assert not page["meets"](torch.tensor([[0, 1], [2, 3]]), torch.tensor([[2, 3], [0, 1]]))
    assert page["meets"](torch.tensor([[0, 1], [2, 3]]), torch.tensor([[4, 5], [9, 3]]))
