"""Which Chromium the tests drive. Run as a program it looks for one that starts and notes it beside the packages."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

NOTE = Path(sys.prefix) / ".chromium"
PLAYWRIGHTS_OWN = "playwright"
ON_PATH = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"

# A browser under test has no business with update and sync servers; on a closed network it would wait for them.
LAUNCH_ARGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium_executable() -> str | None:
    """Value for Playwright's `executable_path`: a path, or None for the browser Playwright downloaded itself."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    if not NOTE.exists():
        raise RuntimeError("no browser is set up for the tests; run `python3 bootstrap.py test`")
    noted = NOTE.read_text().strip()
    return None if noted == PLAYWRIGHTS_OWN else noted


def _candidates() -> Iterator[str]:
    if chosen := os.environ.get("CHROMIUM"):
        yield chosen  # and nothing else: what was asked for and fails must not be replaced silently
        return
    yield PLAYWRIGHTS_OWN
    yield from filter(None, map(shutil.which, ON_PATH))
    if os.path.exists(ON_MACOS):
        yield ON_MACOS


def note_one_that_starts() -> str | None:
    """Starts the candidates in turn, opens a page in each, and notes the first that shows it."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        for candidate in _candidates():
            path = None if candidate == PLAYWRIGHTS_OWN else candidate
            try:
                with playwright.chromium.launch(
                    executable_path=path, args=LAUNCH_ARGS, timeout=20_000
                ) as browser:
                    page = browser.new_page()
                    page.set_content("<p>it works</p>")
                    if page.inner_text("p") != "it works":
                        continue
            except Error as error:
                print(f"{candidate}: {error.message.splitlines()[0]}", file=sys.stderr)
                continue
            NOTE.write_text(candidate + "\n")
            return candidate
    return None


if __name__ == "__main__":
    sys.exit(0 if note_one_that_starts() else 1)
