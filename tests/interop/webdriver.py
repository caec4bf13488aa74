"""Headless Chromium through chromedriver: a WebDriver client on Python's standard library alone."""

import http.client
import json
import os
import re
import shutil
import tempfile

from harness import Process

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Browser:
    """A Chromium with a profile of its own; a context manager."""

    def __init__(self, extra_flags=(), timeout=120):
        self.timeout = timeout
        self.profile = tempfile.mkdtemp(prefix="tern-chromium-")
        self.session = None
        self.driver, line = self._start_driver()
        try:
            self.port = int(re.search(r"on port (\d+)", line).group(1))
            options = {
                "binary": shutil.which("chromium") or "/usr/bin/chromium",
                "args": FLAGS + ["--user-data-dir=" + self.profile, *extra_flags],
            }
            capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
            self.session = "/session/" + answer["sessionId"]
            self.call("POST", self.session + "/timeouts", {"script": timeout * 1000})
        except BaseException:
            self.quit()
            raise

    def _start_driver(self):
        """chromedriver chooses a free port for IPv6, and ends if IPv4's socket of that number is in use."""
        for attempts_left in reversed(range(10)):
            driver = Process("chromedriver", ["chromedriver", "--port=0"])
            try:
                return driver, driver.wait_line(r"started successfully on port \d+", self.timeout)
            except BaseException as error:
                driver.stop()
                if attempts_left == 0 or "port not available" not in str(error):
                    raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.quit()

    def quit(self):
        try:
            if self.session:
                self.call("DELETE", self.session)
        finally:
            self.session = None
            self.driver.stop()
            shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {value['error']}: {value['message'][:400]}")
        return value

    def open(self, url):
        self.call("POST", self.session + "/url", {"url": url})

    def tab(self):
        """The tab that all calls concern."""
        return self.call("GET", self.session + "/window")

    def new_tab(self):
        """Opens a tab, which calls concern after select()."""
        return self.call("POST", self.session + "/window/new", {"type": "tab"})["handle"]

    def select(self, tab):
        self.call("POST", self.session + "/window", {"handle": tab})

    def run(self, script, *arguments):
        """Runs a function body and returns its result."""
        body = {"script": script, "args": arguments}
        return self.call("POST", self.session + "/execute/sync", body)

    def run_async(self, script, *arguments):
        """The same for a body that calls its last argument later with the result."""
        body = {"script": script, "args": arguments}
        return self.call("POST", self.session + "/execute/async", body)

    def wait_for(self, expression):
        """Waits until a JavaScript expression is true. Evaluates it after each change of the page."""
        script = (
            "const done = arguments[arguments.length - 1], test = () => Boolean(%s);"
            "if (test()) { done(true); } else {"
            "  const observer = new MutationObserver(() => {"
            "    if (test()) { observer.disconnect(); done(true); } });"
            "  observer.observe(document, {subtree: true, childList: true, attributes: true,"
            "                              characterData: true}); }" % expression
        )
        self.run_async(script)

    def element(self, css):
        found = self.call(
            "POST", self.session + "/element", {"using": "css selector", "value": css}
        )
        return self.session + "/element/" + next(iter(found.values()))

    def click(self, css):
        self.call("POST", self.element(css) + "/click", {})

    def type(self, css, text):
        element = self.element(css)
        self.call("POST", element + "/clear", {})
        self.call("POST", element + "/value", {"text": text})

    def console(self):
        """The messages of the console since the last call."""
        return self.call("POST", self.session + "/se/log", {"type": "browser"})

    def screenshot(self):
        """A PNG in base64."""
        return self.call("GET", self.session + "/screenshot")

    def resize(self, width, height):
        """Gives the page a screen of that many CSS pixels, also the size of a phone."""
        body = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        command = {"cmd": "Emulation.setDeviceMetricsOverride", "params": body}
        self.call("POST", self.session + "/goog/cdp/execute", command)


def available():
    return shutil.which("chromedriver") is not None and os.path.exists(
        shutil.which("chromium") or "/usr/bin/chromium"
    )
