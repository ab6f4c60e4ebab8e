"""A real browser for the flows on our pages."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser import LAUNCH_ARGS, chromium_executable


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    try:
        executable = chromium_executable()
    except RuntimeError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=executable, args=LAUNCH_ARGS) as chromium,
    ):
        yield chromium
