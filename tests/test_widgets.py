"""Sliders, live and on a page, and image grids."""

import base64
import io
import json
import re
from html import unescape

import numpy as np
import pytest
import torch
from PIL import Image

from belamy import plots, widgets
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


def test_one_output_holds_the_live_and_the_static_version(sliders):
    bundle = sliders._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == sliders.widget.model_id
    assert "a grey square" in bundle["text/plain"]
    assert bundle["text/html"].startswith('<div class="belamy-sliders"')


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
