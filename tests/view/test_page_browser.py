"""The report in a browser: it loads in silence, sorts, filters, and opens a run."""

import json

import pytest
from tests.support.browser import assert_silent
from tests.support.made_up import make_sweep

from gradlab.run.draw import rebuild_run
from gradlab.sweep.rebuild import rebuild

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: uv sync")
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

OVERRIDES = [
    [f"activation={name}", f"model.depth={depth}", f"seed={seed}"]
    for name in ("relu", "sigmoid", "<b>bold</b>") for depth in (5, 20) for seed in (0, 1)
]  # fmt: skip


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
    assert_silent(driver)


def column(page, name):
    """Texts of a column of the table of runs."""
    heads = [head.text.rstrip(" ▲▼") for head in page.find_elements("css selector", "#table thead th")]
    place = heads.index(name) + 1
    return [cell.text for cell in page.find_elements("css selector", f"#table tbody td:nth-child({place})")]


def sort_by(page, name):
    heads = page.find_elements("css selector", "#table thead button")
    next(head for head in heads if head.text.startswith(name)).click()


def test_it_makes_no_requests(driver, sweep):
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
    best = max((number * 7 % 12, number) for number in range(12) if number != 5)[1]
    assert button.text == f"#{best}", "the number that the console printed"
    assert button.get_attribute("aria-label").startswith(f"open run #{best}: ")
    button.send_keys("\ue007")  # Enter
    assert page.find_element("id", "dialog").is_displayed()


def test_figures_tell_the_value_under_the_pointer_and_open_its_run(page):
    figure = page.find_element("css selector", "#figure-gradient_ratio")
    x, y, row, _ = json.loads(figure.get_attribute("data-places"))[0]
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
    labels = [chart.get_attribute("aria-label") for chart in driver.find_elements("css selector", ".charts svg")]
    titles = {label.partition(".")[0] for label in labels}
    assert {
        "Gradient norm (dL/dz) against depth",
        "Gradient norm (dL/dh) against time",
        "Loss while training",
    } <= titles
    assert driver.find_element("css selector", "#figure-gradient_heatmap svg").get_attribute("aria-label")
    assert_silent(driver)


def set_size(driver, width, height=900):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.fixture
def run_page(driver, sweep):
    """The page of a run whose root cause has remedies."""
    run = sweep / "run2"
    record = json.loads((run / "run.json").read_text())
    cause = {
        "root_cause": True,
        "over": "depth",
        "name": "vanishing",
        "sentence": "gradients vanish: layer 1 gets 0.01",
    }
    cause["remedies"] = [{"overrides": ["activation=relu"], "reason": "why", "source": "Who 2015"}]
    record["verdicts"][-1] |= cause
    (run / "run.json").write_text(json.dumps(record | {"chance": {"loss": 2.3, "accuracy": 0.1}}))
    driver.get(rebuild_run(run, caption="c")[-1].as_uri())
    yield driver
    assert_silent(driver)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [1400, 800])
def test_verdict_cause_remedy_and_one_picture_stand_above_the_fold(run_page, width):
    set_size(run_page, width)
    answer = run_page.find_element("css selector", "#run .answer")
    assert answer.text.startswith("Does the gradient arrive?\nNo: the gradient vanishes on its way back\n")
    assert "gradients vanish: layer 1 gets 0.01" in answer.text
    assert "Root cause: vanishing" in answer.text
    assert "activation=relu why (Who 2015)" in answer.text
    chart = run_page.find_element("css selector", "#first-chart svg")
    assert chart.get_attribute("aria-label").startswith("Gradient norm (dL/dz) against depth. step 0: ")
    assert chart.rect["y"] + chart.rect["height"] < 900


@pytest.mark.parametrize("width", [1400, 800, 400])
def test_charts_and_figures_use_the_width_and_nothing_sticks_out(run_page, width):
    set_size(run_page, width)
    narrow = "return document.documentElement.scrollWidth"
    WebDriverWait(run_page, 20).until(lambda page: page.execute_script(narrow) <= width)
    drawn = """return [...document.querySelectorAll(".charts .chart")].every(
        box => Math.abs(box.clientWidth - box.firstElementChild.viewBox.baseVal.width) < 3)"""
    WebDriverWait(run_page, 20).until(lambda page: page.execute_script(drawn))
    whole = run_page.find_element("css selector", "main").rect["width"]
    figure = run_page.find_element("css selector", "#figure-gradient_heatmap svg").rect["width"]
    assert figure > 0.95 * min(whole, 1050)


def test_every_line_chart_shows_layer_step_and_number(run_page):
    tips = run_page.execute_script(
        """return [...document.querySelectorAll(".charts svg")].map(svg => {
          const circle = svg.querySelector("circle:not(.mark)");
          const place = new DOMPoint(+circle.getAttribute("cx"), +circle.getAttribute("cy"));
          const at = place.matrixTransform(svg.getScreenCTM());
          svg.dispatchEvent(new PointerEvent("pointermove", {clientX: at.x, clientY: at.y}));
          const tip = document.getElementById("tip"), text = tip.hidden ? "" : tip.textContent;
          svg.dispatchEvent(new PointerEvent("pointerleave"));
          return [svg.getAttribute("aria-label").split(".")[0], text, tip.hidden];
        });"""
    )
    shown = {title: text for title, text, _ in tips}
    assert shown["Gradient norm (dL/dz) against depth"] == "step 0, layer 1: 0.5"
    assert shown["Spread of each layer's output"] == "step 0, layer 1: 0.3"
    assert shown["Loss while training"] == "train loss, step 0: 1"
    assert shown["Update / weights, by layer"] == "layer 1, step 0: 0.001"
    assert all(hidden for *_, hidden in tips), "the tip goes when the pointer does"


def test_the_arrow_keys_go_from_value_to_value(run_page):
    run_page.execute_script("document.querySelector('#first-chart svg').focus()")
    tip = run_page.find_element("id", "tip")
    said = []
    for key in ("\ue014", "\ue014", "\ue012"):  # right, right, left
        run_page.switch_to.active_element.send_keys(key)
        said.append(tip.text)
    assert said == ["step 0, layer 1: 0.5", "step 0, layer 2: 0.25", "step 0, layer 1: 0.5"]


def test_the_figures_of_a_sweep_use_the_width_too(page):
    set_size(page, 1400)
    whole = page.find_element("css selector", "main").rect["width"]
    overlay = page.find_element("css selector", ".first figure svg").rect["width"]
    assert overlay > 0.55 * whole
    labels = [svg.get_attribute("aria-label") for svg in page.find_elements("css selector", "figure svg")]
    assert len(labels) > 3
    assert all(labels)
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_point_of_the_overlay_says_run_layer_and_number(page):
    text = page.execute_script(
        """const figure = document.querySelector("#figure-gradient_flow"), svg = figure.querySelector("svg");
        const [x, y] = JSON.parse(figure.dataset.places)[0];
        const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
        svg.dispatchEvent(new PointerEvent("pointermove", {clientX: at.x, clientY: at.y}));
        return document.getElementById("tip").textContent;"""
    )
    assert ", layer 1: " in text
