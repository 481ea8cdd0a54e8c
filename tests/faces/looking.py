"""A page in a real browser that is looked at, and everything that went wrong or elsewhere meanwhile."""

import shutil
from dataclasses import dataclass, field
from typing import Final

import pytest
from playwright.async_api import Page

BROWSER: Final = shutil.which("chromium") or shutil.which("google-chrome")

in_a_browser: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="NO BROWSER: install Debian's chromium to run the browser tests"),
]

WORDS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(slots=True)
class Looking:
    """A page that is looked at."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(url)

    def nothing_was_wrong(self) -> bool:
        return not self.complaints and not self.elsewhere
