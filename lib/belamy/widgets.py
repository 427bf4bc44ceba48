"""Sliders that move a picture: live in a notebook, and still alive on a page without a kernel.

In Jupyter and Colab they are ipywidgets, and every move runs the model. Beside the widget, the same
output holds a small self-contained piece of HTML in which range inputs walk through pictures that
were computed when the notebook ran; the book's pages show that one.
"""

import base64
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from html import escape

import ipywidgets
import numpy as np
import torch
from PIL import Image

from belamy.errors import InputError
from belamy.plots import as_array

MAX_PICTURES = 1024

_SCRIPT = """
(function () {
  const root = document.currentScript.parentElement;
  const picture = root.querySelector(".belamy-picture");
  const inputs = [...root.querySelectorAll("input")];
  const setup = JSON.parse(root.dataset.setup);
  function show() {
    let index = 0;
    inputs.forEach((input, k) => {
      index = index * setup.labels[k].length + Number(input.value);
      const label = setup.labels[k][Number(input.value)];
      input.setAttribute("aria-valuetext", label);
      input.parentElement.querySelector("output").textContent = label;
    });
    const column = index % setup.columns, row = Math.floor(index / setup.columns);
    const part = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0) + "%";
    picture.style.backgroundPosition = part(column, setup.columns) + " " + part(row, setup.rows);
  }
  inputs.forEach((input) => input.addEventListener("input", show));
  show();
})();
"""


class Sliders:
    """One slider an axis, and the picture that ``picture(*values)`` computes from them.

    Args:
        picture: called with one value an axis; returns an image (C, H, W) in [0, 1].
        axes: slider labels and the values that the page offers, in ascending order; whole
            numbers make a slider of whole numbers.
        alt: what is to be seen, for readers who do not see it.
        start: the first values; by default the middle of every axis.
        zoom: pixels on the screen for a pixel of the image.

    Raises:
        InputError: an axis has fewer than two values, or all axes together more than 1024
            combinations.
    """

    def __init__(
        self,
        picture: Callable[..., torch.Tensor],
        axes: Mapping[str, Sequence[float]],
        alt: str,
        start: Sequence[float] | None = None,
        zoom: int = 4,
    ) -> None:
        self.axes = {label: list(values) for label, values in axes.items()}
        sizes = [len(values) for values in self.axes.values()]
        if not sizes or min(sizes) < 2 or math.prod(sizes) > MAX_PICTURES:
            raise InputError(
                f"axes of {sizes} values: each needs two or more, all together at most {MAX_PICTURES}"
            )
        self.picture, self.alt, self.zoom = picture, alt, zoom
        self.start = list(start or [values[len(values) // 2] for values in self.axes.values()])
        self.widget = self._live()

    def _repr_mimebundle_(self, **_) -> dict:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {
            "text/plain": f"Sliders({', '.join(self.axes)}): {self.alt}",
            "text/html": self.static_html(),
            "application/vnd.jupyter.widget-view+json": view,
        }

    @torch.no_grad()
    def _image(self, *values: float) -> Image.Image:
        array = as_array(self.picture(*values)[None], padding=0)
        return Image.fromarray((255 * array).round().astype(np.uint8))

    def _live(self) -> ipywidgets.VBox:
        """The sliders as ipywidgets; every move computes a new picture."""
        image = ipywidgets.Image(format="png")
        sliders = [self._slider(*item) for item in zip(self.axes.items(), self.start)]

        def move(_change=None) -> None:
            shown = self._image(*(slider.value for slider in sliders))
            size = shown.width * self.zoom, shown.height * self.zoom
            image.value = _encode(shown.resize(size, Image.Resampling.NEAREST), "PNG")

        for slider in sliders:
            slider.observe(move, names="value")
        move()
        return ipywidgets.VBox([*sliders, image])

    @staticmethod
    def _slider(axis: tuple[str, list], start: float) -> ipywidgets.Widget:
        label, values = axis
        whole = all(isinstance(value, int) for value in values)
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        step = 1 if whole else (values[-1] - values[0]) / 100
        return kind(value=start, min=values[0], max=values[-1], step=step, description=label)

    def static_html(self) -> str:
        """The page's version: a sprite sheet of all pictures and a range input an axis."""
        frames = [self._image(*values) for values in itertools.product(*self.axes.values())]
        columns = len(list(self.axes.values())[-1])
        rows = len(frames) // columns
        width, height = frames[0].size
        sheet = Image.new("RGB", (columns * width, rows * height))
        for index, frame in enumerate(frames):
            sheet.paste(frame, (index % columns * width, index // columns * height))
        source = base64.b64encode(_encode(sheet, "WEBP", quality=80)).decode()
        labels = [[_label(value) for value in values] for values in self.axes.values()]
        setup = escape(json.dumps({"columns": columns, "rows": rows, "labels": labels}))
        name = f"belamy-{sha256(sheet.tobytes()).hexdigest()[:8]}"  # the same whenever it is run
        inputs = "".join(
            self._input(f"{name}-{k}", label, values, start)
            for k, ((label, values), start) in enumerate(zip(self.axes.items(), self.start))
        )
        style = (
            f"width:{width * self.zoom}px;height:{height * self.zoom}px;image-rendering:pixelated;"
            f"background-image:url(data:image/webp;base64,{source});"
            f"background-size:{columns * 100}% {rows * 100}%"
        )
        return (
            f'<div class="belamy-sliders" role="group" aria-label="{escape(self.alt)}" '
            f'data-setup="{setup}">{inputs}'
            f'<div class="belamy-picture" role="img" aria-label="{escape(self.alt)}" '
            f'style="{style}"></div><script>{_SCRIPT}</script></div>'
        )

    @staticmethod
    def _input(name: str, label: str, values: list, start: float) -> str:
        nearest = min(range(len(values)), key=lambda k: abs(values[k] - start))
        return (
            f'<p><label for="{name}">{escape(label)}</label> '
            f'<input id="{name}" type="range" min="0" max="{len(values) - 1}" value="{nearest}" '
            f'style="height:24px;width:min(60%,320px);vertical-align:middle"> '
            f'<output for="{name}">{_label(values[nearest])}</output></p>'
        )


def _label(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
