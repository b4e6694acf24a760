"""The report in a browser: it loads in silence, sorts, filters, and opens a run."""

import json
import shutil

import pytest
from tests.support.made_up import make_sweep

from gradlab.run.draw import rebuild_run
from gradlab.sweep.rebuild import rebuild

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: uv sync")
BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")

OVERRIDES = [
    [f"activation={name}", f"model.depth={depth}", f"seed={seed}"]
    for name in ("relu", "sigmoid", "<b>bold</b>") for depth in (5, 20) for seed in (0, 1)
]  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
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
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    runs = make_sweep(
        folder, OVERRIDES, steps=(0, 10, 20), accuracy=lambda number: (number * 7 % 12) / 12,
        hidden=lambda number: (5, 20)[number // 2 % 2], ratio=lambda number: 10.0 ** -(number % 5),
        status=lambda number: "failed" if number == 5 else "completed",
    )  # fmt: skip
    rebuild(folder, runs)
    return folder


@pytest.fixture
def page(driver, sweep):
    driver.get((sweep / "report.html").as_uri())
    yield driver
    assert driver.get_log("browser") == [], "the console stays empty"


def column(page, name):
    """Texts of a column of the table of runs."""
    heads = [head.text.rstrip(" ▲▼") for head in page.find_elements("css selector", "#table thead th")]
    place = heads.index(name) + 1
    return [cell.text for cell in page.find_elements("css selector", f"#table tbody td:nth-child({place})")]


def sort_by(page, name):
    heads = page.find_elements("css selector", "#table thead button")
    next(head for head in heads if head.text.startswith(name)).click()


def test_it_asks_nobody_for_anything(driver, sweep):
    driver.get_log("performance")
    driver.get((sweep / "report.html").as_uri())
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    # the browser's own new tab may still be loading
    asked = [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome:")]
    assert [url for url in asked if not url.startswith("data:")] == [(sweep / "report.html").as_uri()]
    assert driver.get_log("browser") == []


def test_it_begins_with_the_best_and_ends_with_the_worst(page):
    ends = [article.text for article in page.find_elements("css selector", ".ends article")]
    assert ends[0].startswith("best: ")
    assert ends[1].startswith("worst: ")
    accuracy = [float(text) for text in column(page, "eval_accuracy") if text]
    assert accuracy == sorted(accuracy, reverse=True)
    assert column(page, "eval_accuracy")[-1] == "", "what failed is last"
    assert not page.find_elements("css selector", "#table b"), "a value is never markup"


def test_it_sorts_numbers_as_numbers_both_ways(page):
    sort_by(page, "model.depth")
    assert column(page, "model.depth") == ["5"] * 6 + ["20"] * 6
    sort_by(page, "model.depth")
    assert column(page, "model.depth") == ["20"] * 6 + ["5"] * 6
    head = page.find_element("css selector", "#table th[aria-sort=descending]")
    assert head.text.startswith("model.depth")
    assert page.switch_to.active_element.text.startswith("model.depth"), "the keyboard stays where it was"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 12), ("sigmoid", 4), ("depth=20 relu", 2), ("eval_accuracy>0.5", 4), ("status=failed", 1), ("<b>", 4),
        ("nothing", 0),
    ],
)  # fmt: skip
def test_it_filters(page, text, count):
    box = page.find_element("id", "filter")
    box.clear()
    box.send_keys(text)
    assert len(page.find_elements("css selector", "#table tbody tr")) == count
    assert page.find_element("id", "shown").text == f"{count} of 12 runs"


def test_a_run_opens_with_its_flow_and_pages_on(page):
    page.find_element("css selector", "#table tbody tr td:nth-child(3)").click()
    dialog = page.find_element("id", "dialog")
    assert dialog.is_displayed()
    title = page.find_element("id", "run-title").text
    assert "seed" in title
    labels = [chart.get_attribute("aria-label") for chart in dialog.find_elements("css selector", ".charts svg")]
    assert labels[0].startswith("Gradient norm (dL/dz)")
    assert all("NaN" not in path.get_attribute("d") for path in dialog.find_elements("css selector", ".charts path"))
    page.find_element("id", "next").click()
    assert page.find_element("id", "run-title").text != title
    page.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not dialog.is_displayed()


def test_the_keyboard_opens_a_run(page):
    button = page.find_element("css selector", "#table tbody button")
    assert button.get_attribute("aria-label").startswith("open run ")
    button.send_keys("\ue007")  # Enter
    assert page.find_element("id", "dialog").is_displayed()


def test_figures_tell_the_value_under_the_pointer_and_open_its_run(page):
    figure = page.find_element("css selector", "#figure-gradient_ratio")
    x, y, row = json.loads(figure.get_attribute("data-places"))[0]
    page.execute_script(
        """const svg = document.querySelector("#figure-gradient_ratio svg"); svg.scrollIntoView();
        const at = new DOMPoint(arguments[0], arguments[1]).matrixTransform(svg.getScreenCTM());
        for (const name of ["pointermove", "click"])
          svg.dispatchEvent(new PointerEvent(name, {clientX: at.x, clientY: at.y}));
        """, x, y,
    )  # fmt: skip
    assert "test accuracy" in page.find_element("id", "tip").get_attribute("textContent")
    data = json.loads(page.find_element("id", "data").get_attribute("textContent"))
    assert page.find_element("id", "run-title").text.startswith(data["labels"][row])


def test_the_grid_shows_any_two_keys_and_any_metric(page):
    cells = page.find_elements("css selector", "#grid-table td")
    assert len(cells) == 6
    page.find_element("css selector", "#grid-metric option:nth-child(2)").click()
    page.find_element("css selector", "#grid-rows option:nth-child(2)").click()
    page.find_element("css selector", "#grid-columns option:nth-child(1)").click()
    assert page.find_element("css selector", "#grid-table caption").text == "median test loss"
    assert [row.text for row in page.find_elements("css selector", "#grid-table tbody th")] == ["5", "20"]


def test_the_page_of_one_run_shows_its_flow_at_once(driver, sweep):
    lines = [f"{step},1,cell,{time},1.0,{0.5**time}" for step in (0, 9) for time in range(20)]
    text = "\n".join(["step,depth_index,layer,time,hidden_norm,hidden_grad_norm", *lines])
    (sweep / "run0" / "timesteps.csv").write_text(text + "\n")
    driver.get(rebuild_run(sweep / "run0", caption="c")[-1].as_uri())
    titles = [chart.get_attribute("aria-label") for chart in driver.find_elements("css selector", "#run .charts svg")]
    assert {"Gradient norm (dL/dz) against depth", "Gradient norm (dL/dh) against time", "Loss while training"} <= {
        *titles
    }
    assert driver.find_elements("css selector", "#figure-gradient_heatmap svg")
    assert driver.get_log("browser") == []
