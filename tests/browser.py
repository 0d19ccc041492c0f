"""Chromium without a window."""

import pathlib
import shutil
import subprocess

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def page_after(address: str, folder: pathlib.Path, milliseconds: int = 5000) -> str:
    """A page as it is when its scripts have run for a while."""
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}",
         f"--virtual-time-budget={milliseconds}", "--window-size=1600,1000", "--dump-dom", address],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout
