"""The built documentation in a browser, opened from its folder: silent, complete, and without a network."""

import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from tests.support.shown import ROOT

HTML = ROOT / "docs" / "_build" / "html"
BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
VISITED = ("index.html", "gallery/index.html", "gallery/he_vs_xavier.html", "reference/columns.html", "symptoms.html")
pytestmark = pytest.mark.docs


@pytest.fixture(scope="module", autouse=True)
def _built():
    if not (HTML / "index.html").exists():
        pytest.fail("the documentation is not built: just docs")


class Parsed(HTMLParser):
    """Anchors of a page, and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.references = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.anchors |= {named.get("id"), named.get("name")}
        self.references += [named[name] for name in ("href", "src") if named.get(name)]


@pytest.fixture(scope="module")
def pages():
    found = [path for path in HTML.rglob("*.html") if path.relative_to(HTML).parts[0] not in ("_static", "_downloads")]
    return {path: Parsed(path.read_text(encoding="utf-8")) for path in found}


def test_every_local_link_and_anchor_is_there(pages):
    broken = []
    for path, page in pages.items():
        for reference in page.references:
            if re.match(r"[a-z]+:", reference) or reference == "#":
                continue
            name, _, anchor = unquote(reference).partition("#")
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(HTML)}: {reference}")
    assert broken == []


def test_nothing_on_a_page_is_loaded_from_another_host(pages):
    text = {path: path.read_text(encoding="utf-8") for path in pages}
    loaded = r'<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//|<link[^>]*\shref="(?:https?:)?//'
    assert [path for path, content in text.items() if re.search(loaded, content)] == []


def test_each_experiment_has_a_page():
    recipes = {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}
    assert {path.stem for path in (HTML / "gallery").glob("*.html")} == recipes | {"index"}


def test_llms_txt_has_a_line_for_each_page(pages):
    listed = re.findall(r"^- \[[^]]+\]\(([^)]+)\): .", (HTML / "llms.txt").read_text(encoding="utf-8"), re.MULTILINE)
    extra = {"genindex.html", "search.html", "py-modindex.html"}
    assert set(listed) == {path.relative_to(HTML).as_posix() for path in pages} - extra


@pytest.mark.browser
@pytest.mark.parametrize("name", VISITED)
def test_a_page_opens_from_its_folder_in_silence(driver, name):
    driver.get((HTML / name).as_uri())
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"] == []  # the theme says its mode
    requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [item["params"]["request"]["url"] for item in requests if item["method"] == "Network.requestWillBeSent"]
    own = [url for url in urls if not url.startswith(("data:", "chrome:"))]
    assert own
    assert [url for url in own if not url.startswith("file:")] == []


@pytest.mark.browser
def test_search_finds_a_verdict_without_a_server(driver):
    driver.get(f"{(HTML / 'search.html').as_uri()}?q=dead_units")
    driver.implicitly_wait(20)
    found = driver.find_element("css selector", "#search-results li a")
    assert "dead_units" in found.get_attribute("href")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: uv sync --group dev")
    if not (BROWSER and DRIVER):
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 "--disable-dev-shm-usage", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()
