"""Headless Chromium by its DevTools protocol over two pipes: what a page looks like, says and asks of the network.

No port is opened and no library needed: messages are JSON, each ended by a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any, Self

from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Under which the browser may be found on the path."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PHONE = 600
"""Pixels; narrower pages are shown as a phone shows them."""

_PATIENCE = 60.0
"""Seconds until an answer is given up."""


def find_browser() -> str | None:
    """Where Chromium is, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in a browser of its own, with an empty profile; a context manager.

    Args:
        width: Of the page, CSS pixels.
        height: Likewise.
        dark: Whether the page is told that its reader prefers dark.

    Attributes:
        requests: Addresses that the page asked for.
        errors: What its console held of errors, and exceptions that nobody caught.

    Raises:
        ConfigError: If there is no Chromium.
    """

    def __init__(self, width: int = 1280, height: int = 800, *, dark: bool = False) -> None:
        program = find_browser()
        if program is None:
            raise ConfigError("a picture is taken by Chromium, which is not there", key="--picture", allowed=NAMES)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._size, self._dark, self._program = (width, height), dark, program
        self._sent, self._waiting, self._session, self._loads = 0, b"", "", 0

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._process = _start([self._program, *_FLAGS, f"--user-data-dir={self._profile.name}"], theirs_in, theirs_out)
        try:
            self._attach()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)  # the end of its orders is its end
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        self._profile.cleanup()

    def _attach(self) -> None:
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.resize(*self._size)
        scheme = "dark" if self._dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def resize(self, width: int, height: int) -> None:
        """Gives the page another size, CSS pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < _PHONE
        )

    def open(self, page: Path) -> None:
        """Loads a file; returns when the page says that it is drawn (`document.body.dataset.ready`)."""
        self.visit(page.resolve().as_uri())
        self.wait("document.body && document.body.dataset.ready === 'yes'")

    def visit(self, address: str) -> None:
        """Loads an address; returns when it is there, scripts included.

        What is asked while one page gives way to the next may never be answered.
        """
        before = self._loads
        self.ask("Page.navigate", url=address)
        end = time.monotonic() + _PATIENCE
        while self._loads == before:
            self._hear(self._read(end))

    def wait(self, condition: str) -> None:
        """Returns when an expression of the page is true.

        Raises:
            ConfigError: If it does not become so.
        """
        end = time.monotonic() + _PATIENCE
        while not self.run(condition):
            if time.monotonic() > end:
                raise ConfigError(f"the page never came to {condition}; its errors: {self.errors}", key="--picture")
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            self.errors.append(json.dumps(answer["exceptionDetails"]["exception"].get("description", "")))
        return answer["result"].get("value")

    def picture(self) -> bytes:
        """What the page looks like, PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """An event of the mouse, as a person would cause it: `mousePressed`, `mouseMoved`, `mouseWheel`, ..."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def ask(self, method: str, **parameters: Any) -> Any:
        """One order of the DevTools protocol, and its answer.

        Raises:
            ConfigError: If the browser refuses, or says nothing in time.
        """
        self._sent += 1
        order = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._out, json.dumps(order).encode() + b"\0")
        end = time.monotonic() + _PATIENCE
        while True:
            message = self._read(end)
            if message.get("id") == self._sent:
                if "error" in message:
                    raise ConfigError(f"Chromium refuses {method}: {message['error']}", key="--picture")
                return message["result"]
            self._hear(message)

    def _read(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise ConfigError("Chromium does not answer", key="--picture")
            self._waiting += data
        text, _, self._waiting = self._waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _hear(self, message: dict[str, Any]) -> None:
        """What the page tells without being asked."""
        what, told = message.get("method"), message.get("params", {})
        if what == "Page.loadEventFired":
            self._loads += 1
        elif what == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.errors.append(str(told["exceptionDetails"].get("exception", {}).get("description", "exception")))
        elif what == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in told["args"]))
        elif what == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])


def _start(command: list[str], orders: int, answers: int) -> subprocess.Popen[bytes]:
    """The browser with its two pipes where it looks for them: files 3 and 4."""
    shell = f'exec "$@" 3<&{orders} 4>&{answers}'
    try:
        return subprocess.Popen(  # noqa: S603 - the browser that was found, and flags of ours
            ["/bin/bash", "-c", shell, "bash", *command],
            pass_fds=(orders, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.close(orders)
        os.close(answers)
