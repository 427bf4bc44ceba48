"""CT phantoms: published Hounsfield units, exact masks, one person in every phase, seeds; and Dice."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from belamy import metrics
from belamy.data import ct_phantoms
from belamy.data.phantoms import LESIONS, NAMES, ORGAN_OF, ORGANS, PHASES, TISSUES, WINDOW, windowed
from belamy.errors import InputError

N, SIZE = 40, 64


@pytest.fixture(scope="module")
def clean():
    return {phase: ct_phantoms(N, SIZE, 5, phase=phase, noise=0) for phase in PHASES}


def interior(data, organ):
    """Hounsfield units of an organ's pixels whose eight neighbours belong to it, too."""
    mask = (data.others["mask"] == ORGANS.index(organ)).float()[:, None]
    inside = -torch.nn.functional.max_pool2d(-mask, 3, 1, 1) > 0
    return data.others["hu"][inside]


PUBLISHED = {  # HU that hold most of an organ: see the module's docstring for sources
    ("liver", "native"): (50, 65), ("spleen", "native"): (40, 55), ("aorta", "native"): (35, 47),
    ("fat", "native"): (-190, -30), ("liver", "portal"): (95, 130), ("spleen", "portal"): (100, 140),
    ("aorta", "portal"): (130, 180), ("aorta", "arterial"): (250, 350), ("liver", "arterial"): (55, 95),
}  # fmt: skip


@pytest.mark.parametrize(("organ", "phase"), PUBLISHED)
def test_hounsfield_units_lie_where_they_are_published(clean, organ, phase):
    low, high = PUBLISHED[organ, phase]
    values = interior(clean[phase], organ)
    assert low <= float(values.median()) <= high
    assert ((values >= low) & (values <= high)).float().mean() > 0.8


def test_liver_lies_above_the_spleen_and_kidneys_flare_up(clean):
    native = {organ: float(interior(clean["native"], organ).median()) for organ in ORGANS[1:4]}
    assert 3 < native["liver"] - native["spleen"] < 15
    assert native["kidney"] < native["spleen"]
    assert float(interior(clean["portal"], "kidney").quantile(0.75)) - native["kidney"] > 90


def test_the_agent_changes_nothing_that_has_no_blood(clean):
    """Bone, fat and air are those of the native scan; all that bleeds is brighter."""
    native = clean["native"].others
    for phase in PHASES[1:]:
        other = clean[phase].others
        assert torch.equal(native["mask"], other["mask"])
        change = (other["hu"] - native["hu"])[:, 0]
        for organ in ("bone", "fat"):
            within = interior(clean[phase], organ) - interior(clean["native"], organ)
            assert within.abs().max() < 1e-3
        assert (change[native["hu"][:, 0] < -700] < 40).all()  # air, lung, gas, but for borders
        assert (change[native["hu"][:, 0] == -1000] == 0).all()
        assert (change >= -30).all()  # no tissue gets darker but by the spleen's bands
        for organ in ("liver", "spleen", "kidney", "aorta"):
            assert change[native["mask"] == ORGANS.index(organ)].mean() > 10


def test_masks_are_exact(clean):
    """An even pixel has just the number of a tissue of its organ: nothing is blurred over a border."""
    allowed = {organ: [t.native for t in TISSUES.values() if t.organ == organ] for organ in ORGANS}
    for organ in ("liver", "spleen", "kidney", "aorta"):
        values = interior(clean["native"], organ).numpy()
        low, high = np.array(allowed[organ]).T
        assert values.min() >= low.min() - 1e-3 and values.max() <= high.max() + 1e-3
    spleen = clean["native"][:8].others
    for hu, mask in zip(spleen["hu"][:, 0], spleen["mask"]):
        own = (mask == ORGANS.index("spleen")).float()[None, None]
        inside = (-torch.nn.functional.max_pool2d(-own, 3, 1, 1) > 0)[0, 0]
        assert len(hu[inside].unique()) <= 1


def test_every_organ_is_seen_and_where_it_belongs(clean):
    mask = clean["native"].others["mask"]
    places = torch.arange(SIZE).float()
    middle = {}
    for k, organ in enumerate(ORGANS[:-1]):
        hits = mask == k
        assert hits.any(), organ
        middle[organ] = (float((hits.sum((0, 1)) * places).sum() / hits.sum()),
                         float((hits.sum((0, 2)) * places).sum() / hits.sum()))  # fmt: skip
    assert middle["liver"][0] < SIZE / 2 - 6 < SIZE / 2 + 6 < middle["spleen"][0]
    assert middle["kidney"][1] > middle["liver"][1]  # towards the back
    assert ((mask == ORGANS.index("aorta")).sum((1, 2)) > 0).all()


@pytest.mark.parametrize("noise", [6.0, 12.0, 25.0])
def test_noise_is_what_was_asked_for_at_every_size(noise):
    for size in (32, 96):
        clear, grainy = (ct_phantoms(12, size, 1, noise=level).others["hu"] for level in (0, noise))
        grain = (grainy - clear).double()
        assert abs(float(grain.std()) / noise - 1) < 0.05
        assert abs(float(grain.mean())) < noise / 20
        beside = (grain[..., 1:] * grain[..., :-1]).mean() / grain.square().mean()
        assert 0.2 < beside < 0.8  # neighbours are alike, as after a reconstruction


def test_slices_depend_on_their_arguments_alone():
    few, many = ct_phantoms(3, 32, 7), ct_phantoms(5, 32, 7)
    assert few.checksum == many[:3].checksum
    torch.manual_seed(1)
    np.random.seed(1)
    assert few.checksum == ct_phantoms(3, 32, 7).checksum != ct_phantoms(3, 32, 8).checksum
    masks = many.others["mask"]
    assert not any(torch.equal(masks[i], masks[j]) for i in range(5) for j in range(i))


def test_each_scan_has_its_own_noise():
    first, second = (ct_phantoms(4, 32, 7, phase=phase, noise=10) for phase in ("native", "portal"))
    clear = [ct_phantoms(4, 32, 7, phase=phase, noise=0) for phase in ("native", "portal")]
    a, b = (d.others["hu"] - c.others["hu"] for d, c in zip((first, second), clear))
    assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.1


@pytest.mark.parametrize("size", [32, 48, 128])
def test_any_size_shows_the_same_slice(size):
    """Means over blocks of a fine picture, against a coarse one of the same person."""
    slice_, reference = ct_phantoms(2, size, 3, noise=0), ct_phantoms(2, 64, 3, noise=0)
    shrink = lambda d: torch.nn.functional.interpolate(d.images / 255, size=(16, 16), mode="area")  # noqa: E731
    assert (shrink(slice_) - shrink(reference)).abs().mean() < 0.04


def test_images_are_hounsfield_units_in_a_window():
    data = ct_phantoms(3, 32, 2)
    hu = data.others["hu"]
    assert data.images.shape == hu.shape == (3, 1, 32, 32) and hu.dtype == torch.float32
    assert data.others["mask"].shape == (3, 32, 32) and data.others["mask"].dtype == torch.int64
    assert torch.equal(windowed(torch.tensor([-1000.0, *WINDOW, 3000.0])),
                       torch.tensor([0, 0, 255, 255], dtype=torch.uint8))  # fmt: skip
    seen = (data.images > 0) & (data.images < 255)
    back = data.images.float() / 255 * (WINDOW[1] - WINDOW[0]) + WINDOW[0]
    assert (back - hu)[seen].abs().max() <= 0.5 / 255 * 400 + 1e-3


def test_lesions_lie_in_the_liver_and_change_nothing_else():
    kinds = ("none", "cyst", "metastasis", "haemangioma")
    healthy = ct_phantoms(60, 64, 4, noise=0)
    ill = ct_phantoms(60, 64, 4, lesions=kinds, noise=0)
    assert set(ill.labels.tolist()) == {0, 1, 2, 3} and healthy.labels is None
    spot = ill.others["mask"] == ORGANS.index("lesion")
    within = torch.isin(healthy.others["mask"], torch.tensor([ORGANS.index("liver"), ORGANS.index("other")]))
    assert (spot & ~within).sum() == 0
    assert not spot[ill.labels == 0].any()
    assert spot[ill.labels > 0].flatten(1).any(1).float().mean() > 0.8
    assert torch.equal(ill.others["mask"][~spot], healthy.others["mask"][~spot])


def test_lesions_take_up_the_agent_as_they_should():
    found = {}
    for kind in LESIONS[1:]:
        for phase in PHASES:
            data = ct_phantoms(30, 64, 6, phase=phase, lesions=(kind,), noise=0)
            found[kind, phase] = float(interior(data, "lesion").mean()), float(interior(data, "liver").median())
    cyst = [found["cyst", phase][0] for phase in PHASES]
    assert max(cyst) - min(cyst) < 1e-3 and 0 <= cyst[0] <= 14
    lesion, liver = found["metastasis", "portal"]
    assert 20 < liver - lesion < 80  # darker than the liver around it
    gain = found["haemangioma", "arterial"][0] - found["haemangioma", "native"][0]
    assert gain > found["metastasis", "arterial"][0] - found["metastasis", "native"][0]


def test_every_tissue_belongs_to_an_organ():
    assert [ORGANS[k] for k in ORGAN_OF] == [TISSUES[name].organ for name in NAMES]
    for tissue in TISSUES.values():
        assert all(low <= high for low, high in tissue[1:])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"size": 8}, "size=8"),
        ({"size": 64.0}, "size=64.0"),
        ({"seed": -1}, "seed=-1"),
        ({"phase": "venous"}, "phase='venous'"),
        ({"noise": -1.0}, "noise=-1.0"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"lesions": "cyst"}, "lesions must be a sequence"),
        ({"lesions": ("wart",)}, "wart"),
    ],
)
def test_what_cannot_be_used_is_named(bad, message):
    with pytest.raises(InputError, match=message):
        ct_phantoms(**{"n": 1, "size": 16} | bad)


# --- Dice ----------------------------------------------------------------------------------------


def test_dice_by_hand():
    truth = torch.tensor([[0, 1, 1, 2], [0, 1, 1, 0]])
    found = torch.tensor([[0, 1, 2, 2], [1, 1, 0, 0]])
    # class 0: 3 and 3, 2 shared; class 1: 4 and 3, 2 shared; class 2: 1 and 2, 1 shared; 3: nobody
    expected = torch.tensor([4 / 6, 4 / 7, 2 / 3, float("nan")], dtype=torch.float64)
    torch.testing.assert_close(metrics.dice(truth, found, 4), expected, equal_nan=True)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_dice_is_scikit_learns_f_score(seed):
    draw = np.random.default_rng(seed)
    truth, found = draw.integers(0, 4, (2, 3, 7, 5))
    mine = metrics.dice(torch.from_numpy(truth), torch.from_numpy(found), 4)
    theirs = f1_score(truth.ravel(), found.ravel(), labels=range(4), average=None, zero_division=np.nan)
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    swapped = metrics.dice(torch.from_numpy(found), torch.from_numpy(truth), 4)
    torch.testing.assert_close(mine, swapped, equal_nan=True)


def test_dice_of_itself_is_one_and_of_strangers_zero():
    labels = torch.arange(3).repeat(4)
    assert metrics.dice(labels, labels, 3).tolist() == [1, 1, 1]
    assert metrics.dice(labels, (labels + 1) % 3, 3).tolist() == [0, 0, 0]
    assert metrics.dice(labels.to(torch.uint8), labels.bool().long(), 3)[0] == 1


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(2, 3), "found are torch.float32"),
        (torch.zeros(2, 3).long(), torch.zeros(3, 2).long(), "truth of shape"),
        (torch.zeros(0).long(), torch.zeros(0).long(), "at least one pixel"),
        (torch.tensor([0, 3]), torch.tensor([0, 1]), "truth lie in 0 to 3"),
        (torch.tensor([0, 1]), torch.tensor([-1, 1]), "found lie in -1 to 1"),
        ([0, 1], torch.tensor([0, 1]), "truth are list"),
    ],
)
def test_dice_refuses_what_it_cannot_compare(truth, found, message):
    with pytest.raises(InputError, match=message):
        metrics.dice(truth, found, 3)
