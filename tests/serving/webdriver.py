"""A headless browser by the WebDriver protocol: Debian's packages chromium and chromium-driver."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def is_there():
    return bool(shutil.which("chromedriver") and shutil.which("chromium"))


class Browser:
    def __init__(self, session):
        self._session = session

    def open(self, address):
        self._post("url", url=address)

    def run(self, script, *arguments):
        return self._post("execute/sync", script=script, args=list(arguments))

    def until(self, script, seconds=60):
        """Wait until a script returns something that is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < end, script
            time.sleep(0.05)
        return found

    def type(self, selector, text):
        element = self._post("element", using="css selector", value=selector)[ELEMENT]
        self._post(f"element/{element}/value", text=text)

    def click(self, selector):
        element = self._post("element", using="css selector", value=selector)[ELEMENT]
        self._post(f"element/{element}/click")

    def show_as(self, width, height, scheme):
        self._chrome(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._chrome("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self._get("screenshot")))

    def complaints(self):
        """What the page wrote to the console."""
        return [each["message"] for each in self._post("se/log", type="browser")]

    def _chrome(self, command, **parameters):
        self._post("goog/cdp/execute", cmd=command, params=parameters)

    def _get(self, path):
        return _sent(f"{self._session}/{path}")

    def _post(self, path, **content):
        return _sent(f"{self._session}/{path}", content)


def _sent(address, content=None, method=None):
    body = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)["value"]


@contextmanager
def browser():
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        started = "started successfully on port "
        line = next(each for each in driver.stdout if started in each)
        port = line.partition(started)[2].strip().rstrip(".")
        address = f"http://127.0.0.1:{port}/session"
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": OPTIONS, "binary": shutil.which("chromium")},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = (
            f"{address}/" + (_sent(address, {"capabilities": {"alwaysMatch": wanted}})["sessionId"])
        )
        try:
            yield Browser(session)
        finally:
            _sent(session, method="DELETE")
    finally:
        driver.terminate()
        driver.wait()
        driver.stdout.close()
