import shutil

import pytest

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A browser that keeps its console's lines and its windows' errors."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: uv sync")
    if not (BROWSER and DRIVER):
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 "--disable-dev-shm-usage", "--window-size=1300,1000", f"--user-data-dir={profile}"):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    # Some errors of a page, such as a ResizeObserver's, are events that the log lacks.
    listen = "window.failures = []; addEventListener('error', event => failures.push(event.message));"
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": listen})
    yield browser
    browser.quit()
