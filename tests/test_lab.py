"""A live slider and a bar in JupyterLab, in Chromium: seen once, at their size, before and after their kernel."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

from tools import chromium, pages
from tools.book import write

CODE = """\
import torch
from belamy.widgets import Sliders
Sliders(lambda a: torch.full((1, 28, 42), a / 4), {"a": [0, 1, 2, 3]}, alt="a grey field", start=[1])
"""
BAR = """\
from belamy._progress import bar
for _ in bar(range(3), unit="round"):
    pass
"""
WANTED = [(168, 112)], ["100%"], 0  # four pixels for a pixel, and once
SHOWN = ".jp-OutputArea img, .jp-OutputArea .belamy-picture"


@pytest.fixture
def lab(tmp_path):
    """The address of a server whose folder holds one notebook with a slider and a progress bar."""
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    write(new_notebook(cells=[new_code_cell(CODE), new_code_cell(BAR)], metadata=metadata), tmp_path / "slider.ipynb")
    own = {name: str(tmp_path / ".own") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **own, "PYTHONPATH": str(ROOT / "lib"), "JUPYTER_RUNTIME_DIR": str(tmp_path / ".run")}
    environment.pop("TQDM_DISABLE", None)
    options = ["--no-browser", "--port=0", "--IdentityProvider.token=", "--allow-root"]
    options += ["--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={tmp_path}"]
    told = tmp_path / "log.txt"  # a pipe that nobody reads would stop the server
    with told.open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
    address = until(lambda: re.search(r"http://localhost:\d+", told.read_text(encoding="utf-8")))[0]
    yield address, tmp_path
    server.terminate()
    server.wait()


def shown(page):
    """Size of every picture that is to be seen, how far every bar came, and how many errors."""
    boxes = [picture.bounding_box() for picture in page.query_selector_all(SHOWN) if picture.is_visible()]
    texts = [text.inner_text() for text in page.query_selector_all(".jp-OutputArea pre") if text.is_visible()]
    errors = [error for error in page.get_by_text("Error displaying widget").all() if error.is_visible()]
    return [(box["width"], box["height"]) for box in boxes], [text.partition("|")[0] for text in texts], len(errors)


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_a_slider_is_seen_once_with_its_kernel_and_without(lab):
    address, folder = lab
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=pages.FLAGS).new_context()
        browser.set_default_timeout(180_000)  # on a busy machine
        page = browser.new_page()
        page.goto(f"{address}/lab/tree/slider.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_selector("text=| Idle")  # the kernel is there; before, nothing would run
        page.click("text=Run >> nth=0")
        page.click("text=Run All Cells >> nth=0")
        assert until(lambda: shown(page) == WANTED), shown(page)

        before = page.get_attribute(".jp-OutputArea img", "src")
        page.focus(".jp-OutputArea [role=slider]")
        page.keyboard.press("ArrowRight")
        assert until(lambda: page.get_attribute(".jp-OutputArea img", "src") != before, 20)
        assert shown(page) == WANTED

        page.keyboard.press("Control+s")
        saved = lambda: json.loads((folder / "slider.ipynb").read_text(encoding="utf-8"))["cells"][1]["outputs"]
        assert until(saved, 20)
        page.close()
        for session in json.load(urllib.request.urlopen(f"{address}/api/kernels")):
            gone = urllib.request.Request(f"{address}/api/kernels/{session['id']}", method="DELETE")
            urllib.request.urlopen(gone)

        page = browser.new_page()
        page.goto(f"{address}/lab/tree/slider.ipynb?reset")
        page.wait_for_selector(".belamy-picture", state="attached")
        until(lambda: "Error displaying widget" in page.content(), 20)
        assert shown(page) == WANTED
        browser.close()
