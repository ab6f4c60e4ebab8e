"""The icons a phone takes for its home screen, drawn of gateway/static/gateway/icon.svg by the browser of the tests.

python -m tests.icons     after a change of icon.svg
"""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.browser import LAUNCH_ARGS, chromium_executable

STATIC = Path(__file__).resolve().parent.parent / "gateway" / "static" / "gateway"
ICONS = STATIC / "icons"

# By name: how large, and whether the phone cuts its own shape of it. Then the colour goes to the edge, and what is
# drawn keeps within the circle that every shape leaves.
SIZES = {
    "icon-192": (192, False),
    "icon-512": (512, False),
    "maskable-192": (192, True),
    "maskable-512": (512, True),
    "apple-touch-icon": (180, True),
}


def drawing(*, is_cut: bool) -> str:
    svg = (STATIC / "icon.svg").read_text()
    if not is_cut:
        return svg
    edge_to_edge = svg.replace(' rx="8"', "")
    return edge_to_edge.replace("<path ", '<path transform="translate(4 4) scale(.75)" ')


async def draw(browser: Browser, name: str) -> None:
    pixels, is_cut = SIZES[name]
    page = await browser.new_page(viewport={"width": pixels, "height": pixels})
    style = "<style>body { margin: 0 } svg { display: block; width: 100vw }</style>"
    await page.set_content(style + drawing(is_cut=is_cut))
    await page.screenshot(path=ICONS / f"{name}.png", omit_background=True)
    await page.close()


async def main() -> None:
    ICONS.mkdir(exist_ok=True)
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=chromium_executable(), args=LAUNCH_ARGS) as browser,
    ):
        for name in SIZES:
            await draw(browser, name)


if __name__ == "__main__":
    asyncio.run(main())
