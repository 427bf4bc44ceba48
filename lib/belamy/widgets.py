"""Sliders that move a picture: live in a notebook, and still alive on a page without a kernel.

In Jupyter and Colab they are ipywidgets, and every move runs the model. After the widget stands a small
self-contained piece of HTML in which range inputs walk through pictures that were computed when the
notebook ran; the book's pages show that one. A style in it sees to it that one of the two is shown: the
live one where there is one, else (a saved notebook without its kernel) the other.
"""

import base64
import io
import itertools
import json
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from belamy._checks import real_number, whole_number
from belamy.errors import InputError
from belamy.plots import as_array

if TYPE_CHECKING:  # slow to import, and needed only where a slider is made
    import ipywidgets

MAX_PICTURES = 1024
MAX_SIDE = 16383  # pixels, of a picture in the WebP format
MAX_AREA = 2**24  # pixels of one sheet, which a browser holds uncompressed: 64 MB

_SCRIPT = """
(function () {
  const root = document.currentScript.parentElement;
  const pictures = [...root.querySelectorAll(".belamy-picture")];
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
    const held = setup.columns * setup.rows, at = index % held;  // pictures of a sheet
    const column = at % setup.columns, row = Math.floor(at / setup.columns);
    const part = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0) + "%";
    pictures.forEach((picture, k) => {
      picture.hidden = k !== Math.floor(index / held);
      picture.style.backgroundPosition = part(column, setup.columns) + " " + part(row, setup.rows);
    });
  }
  inputs.forEach((input) => input.addEventListener("input", show));
  show();
})();
"""

# The live widget's output stands right before; where its kernel is gone, Jupyter calls it an error.
_STYLE = """
:root:has(.NAME-live) .NAME { display: none; }
.jp-OutputArea-child:not(:has(.NAME-live)):has(+ .jp-OutputArea-child .NAME) { display: none; }
"""


class Sliders:
    """One slider an axis, and the picture that ``picture(*values)`` computes from them.

    Args:
        picture: called with one value an axis; returns an image (C, H, W), uint8 or in [0, 1], always
            of one size.
        axes: slider labels and the values that the page offers, in ascending order; whole
            numbers make a slider of whole numbers.
        alt: what is to be seen, for readers who do not see it.
        start: the first values; by default the middle of every axis.
        zoom: pixels on the screen for a pixel of the image.

    Raises:
        InputError: an axis has fewer than two values or does not ascend, all axes together have more
            than 1024 combinations, a start is not on its axis, or a picture cannot be drawn.
    """

    def __init__(
        self,
        picture: Callable[..., Tensor],
        axes: Mapping[str, Sequence[float]],
        alt: str,
        start: Sequence[float] | None = None,
        zoom: int = 4,
    ) -> None:
        sizes = [len(values) for values in axes.values()]
        if not sizes or min(sizes) < 2 or math.prod(sizes) > MAX_PICTURES:
            raise InputError(
                f"axes of {sizes} values: each needs two or more, all together at most {MAX_PICTURES}"
            )
        self.axes = {label: [_number(label, v) for v in values] for label, values in axes.items()}
        for label, values in self.axes.items():
            if any(a >= b for a, b in itertools.pairwise(values)):
                raise InputError(f"the values of axis {label!r} do not ascend: {values}")
        self.picture, self.alt, self.zoom = picture, alt, whole_number("zoom", zoom, 1)
        if start is None or len(start) == 0:
            start = [values[len(values) // 2] for values in self.axes.values()]
        self.start = [_number("start", value) for value in start]
        if len(self.start) != len(sizes) or not all(
            values[0] <= value <= values[-1] for value, values in zip(self.start, self.axes.values())
        ):
            raise InputError(f"start={self.start}: expected one value an axis, from its first to its last")
        self.widget = self._live()

    def _ipython_display_(self) -> None:
        """Two outputs, since of one with two forms Jupyter never shows the second: see the module."""
        from IPython.display import display

        told = f"Sliders({', '.join(self.axes)}): {self.alt}"
        static = {"text/plain": told, "text/html": self.static_html()}
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        display({"application/vnd.jupyter.widget-view+json": view}, raw=True)
        display(static, raw=True)

    @torch.no_grad()
    def _image(self, *values: float) -> Image.Image:
        array = as_array(self.picture(*values)[None], padding=0)
        return Image.fromarray((255 * array).round().astype(np.uint8))

    def _live(self) -> "ipywidgets.VBox":
        """The sliders as ipywidgets; every move computes a new picture."""
        import ipywidgets

        sliders = []
        for (label, values), start in zip(self.axes.items(), self.start):
            whole = all(isinstance(value, int) for value in values)
            kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
            step = 1 if whole else (values[-1] - values[0]) / 100
            sliders.append(
                kind(value=start, min=values[0], max=values[-1], step=step, description=label)
            )
        # At its own size: a box stretches what is in it to its own width.
        image = ipywidgets.Image(format="png", layout=ipywidgets.Layout(align_self="flex-start"))

        def move(_change: object = None) -> None:
            shown = self._image(*(slider.value for slider in sliders))
            size = shown.width * self.zoom, shown.height * self.zoom
            image.value = _encode(shown.resize(size, Image.Resampling.NEAREST), "PNG")

        for slider in sliders:
            slider.observe(move, names="value")
        move()
        return ipywidgets.VBox([*sliders, image])

    def static_html(self) -> str:
        """The page's version: all pictures on a sheet, or on several, and a range input an axis."""
        frames = [self._image(*values) for values in itertools.product(*self.axes.values())]
        width, height = frames[0].size
        if {frame.size for frame in frames} != {(width, height)}:
            raise InputError(f"pictures of sizes {sorted({frame.size for frame in frames})}: make them one")
        columns, rows = _layout(len(frames), len(list(self.axes.values())[-1]), width, height)
        sheets = []
        for start in range(0, len(frames), columns * rows):
            sheet = Image.new("RGB", (columns * width, rows * height))
            for index, frame in enumerate(frames[start : start + columns * rows]):
                sheet.paste(frame, (index % columns * width, index // columns * height))
            sheets.append(sheet)
        labels = [[_label(value) for value in values] for values in self.axes.values()]
        setup = escape(json.dumps({"columns": columns, "rows": rows, "labels": labels}))
        digest = sha256(b"".join(sheet.tobytes() for sheet in sheets)).hexdigest()
        name = f"belamy-{digest[:8]}"  # the same whenever it is run
        self.widget.add_class(f"{name}-live")
        inputs = "".join(
            self._input(f"{name}-{k}", label, values, start)
            for k, ((label, values), start) in enumerate(zip(self.axes.items(), self.start))
        )
        pictures = ""
        for sheet in sheets:
            source = base64.b64encode(_encode(sheet, "WEBP", quality=80)).decode()
            style = (
                f"width:{width * self.zoom}px;height:{height * self.zoom}px;image-rendering:pixelated;"
                f"background-image:url(data:image/webp;base64,{source});"
                f"background-size:{columns * 100}% {rows * 100}%"
            )
            hidden = " hidden" if pictures else ""  # the script shows the sheet that is asked for
            pictures += (
                f'<div class="belamy-picture" role="img" aria-label="{escape(self.alt)}" '
                f'style="{style}"{hidden}></div>'
            )
        return (
            f'<div class="belamy-sliders {name}" role="group" aria-label="{escape(self.alt)}" '
            f'data-setup="{setup}"><style>{_STYLE.replace("NAME", name)}</style>'
            f"{inputs}{pictures}<script>{_SCRIPT}</script></div>"
        )

    @staticmethod
    def _input(name: str, label: str, values: list[float], start: float) -> str:
        nearest = min(range(len(values)), key=lambda k: abs(values[k] - start))
        return (
            f'<p><label for="{name}">{escape(label)}</label> '
            f'<input id="{name}" type="range" min="0" max="{len(values) - 1}" value="{nearest}" '
            f'style="height:24px;width:min(60%,320px);vertical-align:middle"> '
            f'<output for="{name}">{_label(values[nearest])}</output></p>'
        )


def _layout(count: int, wanted: int, width: int, height: int) -> tuple[int, int]:
    """Columns and rows of a sheet within WebP's sides and a browser's memory, for pictures of a size.

    One sheet with the wanted columns if it can be; else one that is nearly square, or the largest.
    """
    most = max(1, MAX_AREA // (width * height))  # pictures of a sheet
    across, down = max(1, MAX_SIDE // width), max(1, MAX_SIDE // height)
    if count <= most and wanted <= across and -(-count // wanted) <= down:
        return wanted, -(-count // wanted)
    columns = min(across, max(1, round(math.sqrt(min(count, most) * height / width))))
    return columns, min(down, max(1, most // columns), -(-count // columns))


def _number(name: str, value: object) -> float:
    """Python's own int or float of any number, also numpy's and torch's."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, numbers.Integral):
        return int(value)
    return real_number(name, value)


def _label(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
