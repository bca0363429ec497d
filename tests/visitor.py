"""A browser that can reach the built book and nothing else, and notes what goes wrong."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from browser import QUIET, browser_path

__all__ = ["QUIET", "Visitor", "browser_path", "served"]

CHECKS = (Path(__file__).parent / "page_checks.js").read_text(encoding="utf-8")


class Pages(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):  # the tests' output is no server's log
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server of the folder on a free port of this machine; gives its address."""
    handler = partial(Pages, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Visitor:
    """One page of a browser that can reach the book alone, and notes what goes wrong."""

    checks = CHECKS

    def __init__(self, browser, address: str, **settings) -> None:
        self.address, self.complaints = address, []
        self.context = browser.new_context(**settings)
        self.context.route("**/*", self.only_the_book)
        self.context.set_default_timeout(120_000)  # ms: the machine may be busy
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.note(f"script error: {error}"))
        self.page.on("console", lambda m: m.type == "error" and self.note(f"console: {m.text}"))
        self.page.on("requestfailed", self.note_failure)

    def note(self, complaint: str) -> None:
        self.complaints.append(f"{self.page.url.removeprefix(self.address)}: {complaint}")

    def note_failure(self, request) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # that is leaving before it came
            self.note(f"request failed: {request.url}")

    def only_the_book(self, route) -> None:
        if route.request.url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.note(f"asks another host: {route.request.url}")
            route.abort()

    def open(self, page: str) -> None:
        self.page.goto(f"{self.address}/{page}")
        self.check("ready")

    def check(self, *names: str) -> None:
        for name in names:
            for complaint in self.page.evaluate(f"({CHECKS}).{name}()"):
                self.note(complaint)
