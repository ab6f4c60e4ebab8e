"""What axe-core finds wrong with a page, for people who hear it, feel it, or see it otherwise."""

from pathlib import Path

from playwright.async_api import Page

AXE = Path(__file__).resolve().parent.parent / "node_modules" / "axe-core" / "axe.min.js"
FAULTS = """() => axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => [id, ...nodes.map(({html}) => html)]))"""


async def serious_faults(page: Page) -> list[list[str]]:
    """The rule and where it is broken. The page's own policy keeps axe from its inline script, so it comes by the
    debugger's door."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    return list(await page.evaluate(FAULTS))
