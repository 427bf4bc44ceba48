"""Sliders, live and on a page, image grids, and tables."""

import base64
import io
import json
import re
import subprocess
import sys
from html import unescape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from belamy import plots, widgets
from belamy.data import ImageSet
from belamy.errors import InputError


def shade(a, b):
    return torch.full((1, 4, 4), (a + 2 * b) / 12)


AXES = {"a": [0.0, 1.0, 2.0], "b": [0, 1, 2, 3]}


@pytest.fixture
def sliders():
    return widgets.Sliders(shade, AXES, alt="a grey square", start=[1.0, 2])


def pixel(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))[0, 0]


def test_live_sliders_decode_again_with_every_move(sliders):
    *controls, image = sliders.widget.children
    assert [c.description for c in controls] == ["a", "b"]
    assert pixel(image.value) == round(255 * 5 / 12)
    controls[0].value = 2.0
    assert pixel(image.value) == round(255 * 6 / 12)
    controls[1].value = 0
    assert pixel(image.value) == round(255 * 2 / 12)


def test_the_live_version_is_shown_first_and_marked_for_the_style_of_the_static_one(sliders, monkeypatch):
    """tests/test_lab.py sees in JupyterLab that it is always one of the two that is shown."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    sliders._ipython_display_()
    live, static = shown
    assert list(live) == ["application/vnd.jupyter.widget-view+json"]  # nothing to show in its stead
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == sliders.widget.model_id
    assert "a grey square" in static["text/plain"]
    name = re.match('<div class="belamy-sliders (belamy-[0-9a-f]{8})"', static["text/html"])[1]
    assert f":root:has(.{name}-live) .{name} {{ display: none; }}" in static["text/html"]
    assert sliders.widget._dom_classes == (f"{name}-live",)


def test_the_live_picture_is_as_large_as_asked_for(sliders):
    image = sliders.widget.children[-1]
    assert Image.open(io.BytesIO(image.value)).size == (16, 16)  # 4 pixels, zoomed by 4
    assert image.layout.align_self == "flex-start"  # not stretched to the width of its box


def test_the_page_holds_every_combination_in_the_order_its_script_expects(sliders):
    html = sliders.static_html()
    payload = re.search(r"data:image/webp;base64,([^)]+)\)", html)[1]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(payload))).convert("L")).astype(int)
    setup = json.loads(unescape(re.search(r'data-setup="([^"]+)"', html)[1]))
    assert setup == {"columns": 4, "rows": 3, "labels": [["0.00", "1.00", "2.00"], ["0", "1", "2", "3"]]}
    for i, a in enumerate(AXES["a"]):
        for j, b in enumerate(AXES["b"]):
            assert abs(sheet[4 * i + 2, 4 * j + 2] - 255 * (a + 2 * b) / 12) < 6
    assert re.findall(r'type="range" min="0" max="(\d)" value="(\d)"', html) == [("2", "1"), ("3", "2")]
    assert len(re.findall("<label for=", html)) == 2 and 'aria-label="a grey square"' in html


def decoded(html):
    """What the page's script shows, as arrays in the order of the combinations, and its sheets."""
    setup = json.loads(unescape(re.search(r'data-setup="([^"]+)"', html)[1]))
    payloads = re.findall(r"data:image/webp;base64,([^)]+)\)", html)
    sheets = [np.asarray(Image.open(io.BytesIO(base64.b64decode(p))).convert("L")) for p in payloads]
    pictures = []
    for sheet in sheets:
        height, width = sheet.shape[0] // setup["rows"], sheet.shape[1] // setup["columns"]
        for row in np.split(sheet, setup["rows"]):
            pictures += [part[:height, :width] for part in np.split(row, setup["columns"], 1)]
    return pictures, sheets


def levels(width, height, count):
    axis = [k / count for k in range(count)]
    return widgets.Sliders(lambda a: torch.full((1, height, width), a), {"a": axis}, alt="grey")


@pytest.mark.parametrize("width, height, count", [(64, 64, 300), (1030, 4, 17), (3, 700, 40), (64, 8, 1024)])
def test_more_pictures_than_a_row_of_a_webp_can_hold_are_laid_out_in_several(width, height, count):
    html = levels(width, height, count).static_html()
    pictures, sheets = decoded(html)
    assert len(sheets) == 1 and max(sheets[0].shape) <= 16383
    for k in range(count):
        assert abs(pictures[k][height // 2, width // 2] - 255 * k / count) < 6
    assert html.count('class="belamy-picture"') == 1


def test_more_pictures_than_a_sheet_can_hold_are_laid_out_on_several(monkeypatch):
    monkeypatch.setattr(widgets, "MAX_AREA", 16 * 16 * 9)
    html = levels(16, 16, 20).static_html()
    pictures, sheets = decoded(html)
    assert [sheet.shape for sheet in sheets] == [(48, 48)] * 3
    for k in range(20):
        assert abs(pictures[k][8, 8] - 255 * k / 20) < 6
    shown = re.findall(r'<div class="belamy-picture".*?(hidden)?></div>', html)
    assert shown == ["", "hidden", "hidden"]  # until the script has run


def test_pictures_of_several_sizes_are_refused():
    sliders = widgets.Sliders(lambda a: torch.zeros(1, 2 + a, 3), {"a": [0, 1]}, alt="")
    with pytest.raises(InputError, match=r"sizes \[\(3, 2\), \(3, 3\)\]"):
        sliders.static_html()


def test_axes_of_numpy_and_torch_are_python_s_numbers():
    seen = []

    def picture(*values):
        seen.append(values)
        return torch.zeros(1, 2, 2)

    axes = {"a": np.arange(3), "b": torch.linspace(0, 1, 3), "c": np.linspace(0, 1, 2)}
    sliders = widgets.Sliders(picture, axes, alt="", start=np.array([1.0, 0.5, 0.0]), zoom=np.int64(2))
    assert sliders.axes == {"a": [0, 1, 2], "b": [0.0, 0.5, 1.0], "c": [0.0, 1.0]}
    sliders.static_html()
    assert {tuple(map(type, values)) for values in seen[1:]} == {(int, float, float)}


@pytest.mark.parametrize(
    "axes, options, words",
    [
        ({"a": [1.0, 0.0]}, {}, r"axis 'a' do not ascend: \[1.0, 0.0\]"),
        ({"a": ["x", "y"]}, {}, "a='x' must be a finite number"),
        ({"a": [0.0, float("nan")]}, {}, "a=nan"),
        ({"a": [0.0, 1.0]}, {"start": [2.0]}, r"start=\[2.0\]: expected one value an axis"),
        ({"a": [0.0, 1.0]}, {"start": [0.0, 1.0]}, "expected one value an axis"),
        ({"a": [0.0, 1.0]}, {"zoom": 0}, "zoom=0 must be a whole number"),
    ],
)
def test_what_cannot_be_a_slider_is_named(axes, options, words):
    with pytest.raises(InputError, match=words):
        widgets.Sliders(lambda a: torch.zeros(1, 2, 2), axes, alt="", **options)


@pytest.mark.parametrize("axes", [{}, {"a": [1.0]}, {"a": list(range(40)), "b": list(range(40))}])
def test_axes_that_cannot_be_shown_are_refused(axes):
    with pytest.raises(InputError, match="axes of"):
        widgets.Sliders(shade, axes, alt="")


def test_a_grid_of_images_has_its_pixels_where_they_belong():
    images = torch.arange(6, dtype=torch.uint8).mul(50)[:, None, None, None].expand(6, 1, 3, 3)
    picture = plots.as_array(images, columns=3, padding=0)
    assert picture.shape == (6, 9, 3)
    assert (255 * picture[::3, ::3, 0]).round().astype(int).tolist() == [[0, 50, 100], [150, 200, 250]]
    with pytest.raises(InputError, match=r"\(6, 3, 3\)"):
        plots.as_array(images[:, 0])


def test_a_sample_grid_keeps_what_it_was_asked_to():
    grid = plots.SampleGrid(lambda nets: nets["x"], every=2)
    game = type("G", (), {"nets": {"x": torch.rand(3, 1, 2, 2)}})
    for epoch in range(1, 6):
        grid(game, epoch)
    assert list(grid.frames) == [2, 4]
    assert len(grid.plot().axes) == 2


GREY = torch.linspace(0, 1, 3)[:, None, None, None].expand(3, 1, 2, 2)


@pytest.fixture
def closed():
    yield
    plt.close("all")


def test_arrays_image_sets_and_tensors_of_any_type_are_drawn_alike(closed):
    grey = (255 * GREY).round().to(torch.uint8)
    wanted = plots.as_array(grey)
    for images in (grey, ImageSet(grey, "greys"), grey.numpy(), grey.double() / 255):
        assert np.array_equal(plots.as_array(images), wanted)
        assert plots.show(images).images[0].get_array().shape == wanted.shape
    assert np.array_equal(plots.as_array(GREY[::2] > 0.5), plots.as_array(GREY[::2]))
    for half in (torch.float16, torch.bfloat16):
        assert np.allclose(plots.as_array(GREY.to(half)), plots.as_array(GREY), atol=4e-3)
    with torch.inference_mode():
        assert np.array_equal(plots.as_array(grey + 0), wanted)
    plots.compare({"a": ImageSet(grey, "greys"), "b": grey.numpy()})


def test_rounding_across_the_border_is_cut_off():
    picture = plots.as_array(GREY * (1 + 4e-7) - 1e-7)
    assert picture.min() == 0 and picture.max() == 1


@pytest.mark.parametrize(
    "images, words",
    [
        (255 * GREY, r"images lie in \[0, 255\]; expected \[0, 1\].* x / 255"),  # F19
        (2 * GREY - 1, r"images lie in \[-1, 1\]; expected \[0, 1\]: \(x \+ 1\) / 2"),  # F18
        (torch.where(torch.arange(3)[:, None, None, None] == 1, torch.nan, GREY), r"images\[1\] holds NaN"),
        (GREY.expand(3, 2, 2, 2), r"\(3, 2, 2, 2\); expected \(N, 1 or 3, H, W\)"),
        (GREY[0], r"\(1, 2, 2\); expected \(N, C, H, W\)"),
        (GREY.movedim(1, -1).numpy(), r"\(3, 2, 2, 1\); expected \(N, 1 or 3, H, W\), channels first"),
        (GREY[:0], "not empty"),
        (GREY.long(), "images is torch.int64"),
        (np.array([["a"]]), "images is an array of <U1"),
        (None, "images is a NoneType; expected a tensor"),
        ([GREY], "images is a list"),
    ],
)
def test_what_cannot_be_drawn_is_refused(images, words, closed):
    with pytest.raises(InputError, match=words):
        plots.show(images)
    assert not plt.get_fignums()
    with pytest.raises(InputError, match=words.replace("images", r"rows\['a'\]", 1)):
        plots.compare({"a": images})


@pytest.mark.parametrize("rows", [{}, None, [GREY], GREY])
def test_a_comparison_of_nothing_is_refused(rows, closed):
    with pytest.raises(InputError, match="expected names and images"):
        plots.compare(rows)


def test_numbers_of_a_grid_are_checked(closed):
    assert np.array_equal(plots.as_array(GREY, np.int64(2)), plots.as_array(GREY, 2))
    for columns in (0, 2.0, True):
        with pytest.raises(InputError, match=f"columns={columns} must be a whole number of at least 1"):
            plots.show(GREY, columns)
    with pytest.raises(InputError, match="padding=-1"):
        plots.as_array(GREY, padding=-1)


def test_a_sample_grid_without_a_frame_or_pictures_says_so(closed):
    with pytest.raises(InputError, match=r"no frame was kept: .* callbacks=\[...\], for 7 or more epochs"):
        plots.SampleGrid(lambda nets: nets["x"], every=7).plot()
    with pytest.raises(InputError, match="every=0 must be"):
        plots.SampleGrid(lambda nets: nets["x"], every=0)
    grid = plots.SampleGrid(lambda nets: nets["x"])
    game = type("G", (), {"nets": {"x": [1]}})
    with pytest.raises(InputError, match="sample returns a list"):
        grid(game, 1)
    game.nets["x"] = GREY
    grid(game, 1)
    with pytest.raises(InputError, match="images=0"):
        grid.plot(0)


def test_a_table_is_text_with_true_minus_separators_and_nothing_where_nothing_is():
    frame = pd.DataFrame(
        {
            "model": ["VAE", "GAN", "$q(z)$ < 1"],
            "score": [-1.25, np.nan, -0.001],
            "points": [1, -2500, 49_152],
            "nats": np.float32([-12345.6, 999.96, np.inf]),
        }
    )
    shown = plots.table(frame, {"score": 1})
    assert shown["model"].tolist() == frame["model"].tolist()
    assert shown["score"].tolist() == ["−1.2", "", "0.0"]
    assert shown["points"].tolist() == ["1", "−2,500", "49,152"]
    assert shown["nats"].tolist() == ["−12,346", "999.96", "inf"]
    assert shown.index.equals(frame.index) and shown.columns.tolist() == frame.columns.tolist()
    assert plots.table(frame, 3)["score"].tolist() == ["−1.250", "", "−0.001"]
    assert plots.table(pd.DataFrame({"a": [None, pd.NA, 0.5]}))["a"].tolist() == ["", "", "0.50"]
    assert frame["points"].dtype == np.int64  # what was given is not changed


def test_a_table_without_an_index_is_headed_by_its_first_column_in_one_row():
    frame = pd.DataFrame({"$d_x$": [2, 1000], "gap": [0.125, -0.5]})
    shown = plots.table(frame, index=False)
    assert shown.index.tolist() == ["2", "1,000"] and shown["gap"].tolist() == ["0.12", "−0.50"]
    for same in (shown, plots.table(frame.set_index("$d_x$"))):
        head = same.to_html().partition("</thead>")[0]
        assert head.count("<tr") == 1 and "<th>$d_x$</th>" in head
    pivoted = pd.DataFrame({("a", "x"): [1.0], ("a", "y"): [2.0]}, index=[("row", 1)])
    assert plots.table(pivoted).to_numpy().tolist() == [["1.00", "2.00"]]
    twice = pd.DataFrame([[1.0, -2.0]], columns=["a", "a"])
    assert plots.table(twice, 1).to_numpy().tolist() == [["1.0", "−2.0"]]


@pytest.mark.parametrize(
    "frame, digits, words",
    [
        ({"a": [1]}, 2, r"frame=\{'a': \[1\]\}: expected a pandas DataFrame"),
        (pd.DataFrame(index=[0]), 2, "DataFrame with columns"),
        (pd.DataFrame({"a": [1.0]}), -1, "digits of 'a'=-1 must be a whole number from 0 to 15"),
        (pd.DataFrame({"a": [1.0]}), {"a": 1.5}, "digits of 'a'=1.5"),
        (pd.DataFrame({"a": [1.0]}), {"b": 1}, r"digits of \['b'\], and the frame's columns are \['a'\]"),
        (pd.DataFrame({"a": [torch.zeros(1)]}), 2, r"column 'a' holds tensor\(\[0.\]\)"),
        (pd.DataFrame({"a": [True]}), 2, "column 'a' holds True"),
    ],
)
def test_what_is_no_table_is_refused(frame, digits, words):
    with pytest.raises(InputError, match=words):
        plots.table(frame, digits)


def test_what_draws_is_imported_where_something_is_drawn():
    heavy = "{'matplotlib', 'seaborn', 'pandas', 'scipy', 'torchvision', 'ipywidgets'}"
    rooms = "plots, widgets, metrics, features, likelihood, divergences, nets, losses"
    code = f"import sys; from belamy import {rooms}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
