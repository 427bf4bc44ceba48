"""What is done to a chapter's outputs before they are stored."""

import base64
import io

from nbformat import NotebookNode
from PIL import Image

from tools.book import code_cells

WIDGET = "application/vnd.jupyter.widget-view+json"
LARGE = 60_000  # base64 characters; line drawings stay below


def drop_widget_views(notebook: NotebookNode) -> None:
    """Leave a live widget's static stand-in alone, which follows or goes with it: a model's id means nothing later."""
    for cell in code_cells(notebook):
        kinds = [output.get("data", {}) for output in cell.outputs] + [{}]
        live = [WIDGET in kind and "text/html" in then for kind, then in zip(kinds, kinds[1:])]
        cell.outputs = [output for output, dropped in zip(cell.outputs, live) if not dropped]
        for kind in kinds:
            if "text/html" in kind:  # both in one output
                kind.pop(WIDGET, None)


def shrink_pictures(notebook: NotebookNode) -> None:
    """Store large pictures with 256 colours of their own, a quarter of the size to nearly the same eye."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            if len(data.get("image/png", "")) > LARGE:
                data["image/png"] = shrunk(data["image/png"])


def shrunk(png: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    buffer = io.BytesIO()
    few = picture.quantize(palette=picture.quantize(256))  # with dithering
    few.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
