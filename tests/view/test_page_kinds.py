"""Each kind of report in a browser: it opens without a line in the console."""

import json
import re

import pytest
from tests.support.browser import assert_silent
from tests.support.made_up import STUDY, make_run, make_study, make_sweep, write_config

from gradlab.run.draw import rebuild_run
from gradlab.sweep.rebuild import rebuild

pytestmark = pytest.mark.browser


def a_sweep_of_one_run(folder):
    rebuild(folder, make_sweep(folder, [["seed=1"]]))


def a_sweep_of_failures(folder):
    runs = make_sweep(folder, [["activation=relu"], ["activation=tanh"]], status=lambda number: "failed")
    for run in runs:
        (run / "gradients.csv").unlink()
        (run / "metrics.csv").unlink()
    rebuild(folder, runs)


def remedies(folder):
    trials = make_study(folder, losses={"as it is": (2.0, 2.2), "good": (0.1, 0.2), "bad": (float("nan"),) * 2})
    runs = [folder / name for trial in trials for name in trial.folders]
    failed = json.loads((runs[-1] / "run.json").read_text()) | {"status": "failed", "error": "it broke"}
    (runs[-1] / "run.json").write_text(json.dumps(failed))
    rebuild(folder, runs)


def a_run_of_one_step(folder):
    make_run(folder / "run", steps=(0,))
    page_of(folder)


def a_run_with_zeros_and_overflow(folder):
    make_run(folder / "run", gradient=lambda step, depth: (0.0, float("inf"), 1.0)[depth % 3], loss=float("nan"))
    page_of(folder)


def a_range_test(folder):
    run = make_run(folder / "run")
    rates = [f"{number},{10.0 ** (number - 5)},{2 - number / 9},{2 - number / 9}" for number in range(6)]
    (run / "lr_range.csv").write_text("\n".join(["step,lr,train_loss,smoothed_loss", *rates, ""]))
    found = {"suggestion": 0.01, "lowest_at": 0.1, "blew_up_at": None}
    (run / "run.json").write_text(json.dumps({"hidden_layers": 5, "lr_range": found}))
    page_of(folder)


def page_of(folder):
    write_config(folder / "run", ["activation=relu"])
    (folder / "report.html").write_bytes(rebuild_run(folder / "run", caption="c")[-1].read_bytes())


@pytest.mark.parametrize(
    "make",
    [a_sweep_of_one_run, a_sweep_of_failures, remedies, a_run_of_one_step, a_run_with_zeros_and_overflow, a_range_test],
    ids=lambda make: make.__name__,
)
def test_every_kind_of_page_opens_in_silence(driver, tmp_path, make):
    make(tmp_path)
    driver.get((tmp_path / "report.html").as_uri())
    assert driver.find_elements("css selector", "main section")
    for button in driver.find_elements("css selector", "#table tbody button")[:1]:
        button.click()
        assert driver.find_element("id", "dialog").is_displayed()
    assert_silent(driver)


def test_a_remedies_page_lists_its_runs_and_has_one_winner(driver, tmp_path):
    remedies(tmp_path)
    driver.get((tmp_path / "report.html").as_uri())
    assert len(driver.find_elements("css selector", "#table tbody tr")) == 3 * len(STUDY.seeds)
    assert driver.find_element("css selector", "#figure-remedy_flow svg").get_attribute("aria-label")
    assert driver.find_element("css selector", "#remedies b").text.startswith("Best is good: ")
    words = driver.find_element("css selector", "body").text.lower()
    assert set(re.findall(r"best is (\w+)", words)) == {"good"}
    assert "best:" not in words, "no second winner, by another measure"
    assert_silent(driver)
