"""A browser for tests: pages that fail on anything a person would call broken."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.support.accounts import Account
from tests.support.processes import wait_until

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# How long a page may take on a busy machine; Playwright's own five seconds are not enough there.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)
AXE = settings.BASE_DIR / "node_modules" / "axe-core" / "axe.min.js"
LOCALES = {"en": "en-US", "zh": "zh-CN"}


def chromium() -> str | None:
    """Return the path of a Chromium on this machine, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Look:
    """How a page is looked at. ``width`` in CSS pixels."""

    theme: Literal["light", "dark"] = "light"
    language: Literal["en", "zh"] = "en"
    width: int = 1280

    def __str__(self) -> str:
        return f"{self.theme}-{self.language}-{self.width}"


# Four of the eight looks, in which any two of theme, language and width meet in every way: DEEPSPACE_EVERY_LOOK=1 takes
# the others, too.
_PAIRS = (Look("light", "en", 1280), Look("light", "zh", 390), Look("dark", "en", 390), Look("dark", "zh", 1280))
_OTHERS = (Look("light", "en", 390), Look("light", "zh", 1280), Look("dark", "en", 1280), Look("dark", "zh", 390))
LOOKS = _PAIRS + (_OTHERS if os.environ.get("DEEPSPACE_EVERY_LOOK") == "1" else ())
# Two that differ in language and width, for stories that are long.
TWO_LOOKS = _PAIRS[:2]


@dataclass
class Visitor:
    """One person's browser on the running system; ``problems`` is what no page may do."""

    context: BrowserContext
    base_url: str
    look: Look
    problems: list[str] = field(default_factory=list)
    _expected: tuple[str, ...] = ()

    def new_page(self) -> Page:
        """Open a tab."""
        page = self.context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: uncaught {error}"))
        page.on("request", self._request)
        page.on("websocket", lambda socket: self._foreign(socket.url.replace("ws", "http", 1)))
        return page

    @contextmanager
    def expecting(self, *texts: str) -> Iterator[None]:
        """Allow console messages that contain one of ``texts``, for a test that provokes an error."""
        self._expected = texts
        yield
        self._expected = ()

    def sign_in(self, page: Page, account: Account) -> None:
        """Sign in as a person would, on the form."""
        page.goto(f"{self.base_url}/accounts/login/")
        page.locator("input[name=login]").fill(account.email)
        page.locator("input[name=password]").fill(account.password)
        page.locator("main form button").click()
        page.wait_for_url(lambda url: "/accounts/login" not in url)

    def be(self, account: Account) -> None:
        """Be signed in already, for tests that are about something else."""
        name, _equals, value = account.cookie.partition("=")
        self.context.add_cookies([{"name": name, "value": value, "url": self.base_url}])

    def check(self, page: Page, name: str) -> None:
        """Hold a page against what every page promises; keep its picture."""
        broken = self.broken(page, name)
        assert not broken, "\n".join(broken)

    def broken(self, page: Page, name: str) -> list[str]:
        """Return the promises that a page breaks: in the look asked for, no wider than the window, accessible."""
        self.picture(page, name)
        broken = []
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            broken.append(f"{wide} px wider than {self.look.width}")
        if page.locator("html").get_attribute("data-bs-theme") != self.look.theme:
            broken.append(f"not {self.look.theme}")
        if not (page.locator("html").get_attribute("lang") or "").startswith(self.look.language):
            broken.append(f"not in {self.look.language}")
        return [f"{page.url} ({self.look}): {line}" for line in (*broken, *axe_violations(page))]

    def picture(self, page: Page, name: str) -> None:
        """Save a picture in the folder that ``DEEPSPACE_SHOTS`` names, if it does."""
        if folder := os.environ.get("DEEPSPACE_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.evaluate("window.scrollTo(0, 0)")
            page.screenshot(path=Path(folder) / f"{name}-{self.look}.png", full_page=True)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in self._expected):
            self.problems.append(f"{message.location.get('url', '')}: {message.text}")

    def _request(self, request: Request) -> None:
        self._foreign(request.url)

    def _foreign(self, url: str) -> None:
        if not url.startswith((f"{self.base_url}/", "data:", "blob:", "about:")):
            self.problems.append(f"request to a foreign origin: {url}")


def visitor(browser: Browser, base_url: str, look: Look) -> Visitor:
    """Return a new visitor with no cookies."""
    context = browser.new_context(
        viewport={"width": look.width, "height": 844 if look.width < 500 else 900},
        color_scheme=look.theme,
        locale=LOCALES[look.language],
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    return Visitor(context=context, base_url=base_url, look=look)


def axe_violations(page: Page) -> list[str]:
    """Return what axe finds wrong with the page, a line for each element.

    Injected through the debugger, which the page's content security policy does not concern.
    """
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    answer = session.send(
        "Runtime.evaluate",
        {
            "expression": "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    session.detach()
    found: list[dict[str, Any]] = answer["result"]["value"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def eventually(predicate: Callable[[], Any], page: Page, timeout: float = 30) -> Any:
    """Wait until ``predicate`` is true of the page, letting the browser's events arrive meanwhile."""

    def looked() -> Any:
        page.wait_for_timeout(20)
        return predicate()

    return wait_until(looked, timeout, lambda: f"{page.url}\n{page.locator('body').inner_text()[:3000]}", pause=0)
