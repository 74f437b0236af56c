"""A real browser for tests: chromium without a window, driven by its chromedriver."""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-quic", "--disable-extensions", "--force-device-scale-factor=1",
)  # fmt: skip
OWN = ("data:", "about:", "chrome:", "chrome-untrusted:")  # the page's and the browser's own


@contextmanager
def chromium(*arguments, size=(1280, 900), dark=False, javascript=True):
    """A selenium driver with a profile of its own, which is gone afterwards; or a skipped test.

    `console` and `requests` read what it logs. Further `arguments` go to chromium.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    chromedriver = shutil.which("chromedriver")
    if program is None or chromedriver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        width, height = size
        window = f"--window-size={width},{height + 150}"  # with the bars around the page
        for argument in (*QUIET, window, "about:blank", *arguments):
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={Path(profile, 'profile')}")
        if not javascript:
            refused = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", refused)
        service = webdriver.ChromeService(chromedriver, env={**os.environ, "HOME": profile})
        driver = webdriver.Chrome(options, service)
        try:
            screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)  # to the pixel
            wishes = {
                "prefers-color-scheme": "dark" if dark else "light",
                "prefers-reduced-motion": "reduce",  # what moves cannot be clicked
            }
            features = [{"name": name, "value": value} for name, value in wishes.items()]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            yield driver
        finally:
            driver.quit()


def visit(driver, address):
    """Open a page, and wait until all of it is there: on a busy machine `get` may be early."""
    from selenium.webdriver.support.wait import WebDriverWait

    driver.get(address)
    state = "return document.URL + ' ' + document.readyState"
    WebDriverWait(driver, 60, 0.05).until(
        lambda driver: driver.execute_script(state) == f"{address} complete"
    )


def console(driver):
    """What the page has said to the console since the last call: errors, warnings, all of it."""
    return [f"{entry['level']}: {entry['message']}" for entry in driver.get_log("browser")]


def requests(driver):
    """The addresses that pages have asked for since the last call, their data: URIs left out."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    addresses = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [address for address in addresses if not address.startswith(OWN)]
