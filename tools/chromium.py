"""The browser that the site's tests open pages with: find it, or install Debian's where we may."""

import os
import shutil
import subprocess
import sys

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


def find() -> str | None:
    """Path of the browser: $CHROMIUM, else the first of `NAMES` that is installed."""
    candidates = (os.environ.get("CHROMIUM"), *NAMES)
    return next((path for name in candidates if name and (path := shutil.which(name))), None)


def main() -> None:
    if find():
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.exit("The site's tests need Chromium: apt-get install chromium, or CHROMIUM=its path")
    print("Installing chromium, for the site's tests", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "chromium"]):
        subprocess.run(["apt-get", "-qq", *command], env=environment, check=True)


if __name__ == "__main__":
    main()
