"""Where an installed Chromium is; none is ever downloaded."""

import os
import shutil
import sys
from pathlib import Path

VARIABLE = "KERAS_PLI_CHROMIUM"
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
MAC = (
    "Chromium.app/Contents/MacOS/Chromium",
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
WINDOWS = (
    "Chromium/Application/chrome.exe",
    "Google/Chrome/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
# A page of this machine, drawn by the processor; nothing is fetched from elsewhere.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def usual_places():
    """Where the installers of macOS and Windows put a Chromium."""
    if sys.platform == "darwin":
        folders = [Path("/Applications"), Path.home() / "Applications"]
        return [folder / name for folder in folders for name in MAC]
    variables = ("ProgramFiles", "ProgramFiles(x86)", "LocalAppData")
    folders = [Path(os.environ[name]) for name in variables if os.environ.get(name)]
    return [folder / name for folder in folders for name in WINDOWS]


def find_chromium():
    """Returns the path of an installed Chromium, or None."""
    named = os.environ.get(VARIABLE)
    if named:  # and if it is not there, Playwright says so
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    return next((str(path) for path in usual_places() if path.is_file()), None)


def arguments():
    """What Chromium is started with; as root it has no sandbox."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*ARGUMENTS, *(["--no-sandbox"] if is_root else [])]
