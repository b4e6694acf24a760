"""Effects of the options of a full grid, on made-up runs with known effects."""

import csv
from itertools import product

import numpy as np
import pytest
from scipy import stats
from tests.support.counting import python_calls
from tests.support.made_up import make_sweep

from gradlab.sweep.effects import FILE, find_effects, write_effects
from gradlab.sweep.rebuild import rebuild
from gradlab.sweep.summary import SUMMARY, summarize
from gradlab.view.sweeps import Sweep, read_sweep

GRID = {"normalization": ("batch_norm", "none"), "residual": ("none", "identity"), "seed": range(6)}


def decades_of(normalization, residual, seed, noise):
    """Return -12 decades, +8 for batch norm, +6 for a skip, -3 for both together; a seed shifts all runs equally."""
    decades = -12 + 8 * (normalization == "batch_norm") + 6 * (residual == "identity")
    return decades - 3 * (normalization == "batch_norm" and residual == "identity") - 0.5 * seed + noise


def read(folder, cells, ratio, **shape):
    overrides = [[f"{key}={value}" for key, value in cell.items()] for cell in cells]
    runs = make_sweep(folder, overrides, ratio=lambda number: ratio[number], **shape)
    return read_sweep(folder / SUMMARY, summarize(folder, runs).runs, name="made up"), runs


def made(folder, **shape):
    cells = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
    noise = np.random.default_rng(0).normal(0, 0.1, len(cells))
    decades = [decades_of(**cell, noise=one) for cell, one in zip(cells, noise, strict=True)]
    return read(folder, cells, [10.0**one for one in decades], steps=(0, 10), **shape)


def gradient(effects):
    return {(one.kind, one.value, one.other_value): one for one in effects if one.response == "gradient"}


def test_the_effects_of_made_up_runs_are_recovered(tmp_path):
    found = gradient(find_effects(made(tmp_path)[0]))
    expected = {
        ("alone", "batch_norm", ""): 8, ("alone", "identity", ""): 6, ("average", "batch_norm", ""): 6.5,
        ("average", "identity", ""): 4.5, ("pair", "batch_norm", "identity"): -3,
    }  # fmt: skip
    assert set(found) == set(expected)
    for name, effect in expected.items():
        one = found[name]
        assert one.effect == pytest.approx(effect, abs=0.15)
        assert one.low < one.effect < one.high
        assert one.high - one.low < 0.5, "what the seed does to both runs of a pair cancels"
        assert one.seeds == 6
    alone = found["alone", "batch_norm", ""]
    assert alone.against == "none"
    numbers = f"+{alone.effect:.3g} decades [{alone.low:.3g}, {alone.high:.3g}]"
    assert alone.sentence == f"batch_norm instead of none (with residual none): {numbers}"


def test_the_reference_is_the_first_value_of_the_command_whatever_the_folders_names(tmp_path):
    grid = product(("sigmoid", "relu"), (5, 20), range(2))
    cells = [{"activation": name, "model.depth": depth, "seed": seed} for name, depth, seed in grid]
    ratios = [1e-3, 1e-3, 1e-9, 1e-9, 1.0, 1.0, 1.0, 1.0]
    _, runs = read(tmp_path, cells, ratios)
    shuffled = summarize(tmp_path, sorted(runs, key=lambda run: run.name, reverse=True))
    assert [row["job"] for row in shuffled.rows] == [str(number) for number in range(8)]
    found = gradient(find_effects(read_sweep(tmp_path / SUMMARY, shuffled.runs, name="made up")))
    assert found["alone", "relu", ""].sentence == "relu instead of sigmoid (with depth 5): +3 decades [3, 3]"
    assert found["alone", "20", ""].sentence == "depth 20 instead of 5 (with sigmoid): -6 decades [-6, -6]"


def test_a_grid_that_is_not_full_has_no_effects(tmp_path):
    whole, _ = made(tmp_path)
    less = Sweep(whole.name, whole.table.iloc[1:], whole.keys, whole.folders[1:])
    table = whole.table.copy()
    table.iloc[0] = table.iloc[1]
    twice = Sweep(whole.name, table, whole.keys, whole.folders)
    seeds = Sweep(whole.name, whole.table.iloc[:6], whole.keys, whole.folders[:6])
    assert find_effects(less) == find_effects(twice) == find_effects(seeds) == []


def test_a_run_that_did_not_complete_is_left_out(tmp_path):
    sweep, _ = made(tmp_path, status=lambda number: "diverged" if number == 0 else "completed")
    losses = [one for one in find_effects(sweep) if one.response == "loss" and one.kind == "pair"]
    assert [one.seeds for one in losses] == [5]
    said = [one.sentence.partition("]")[2] for one in find_effects(sweep) if one.response == "loss"]
    assert said == [", 5 of 6 seeds", ", 11 of 12 comparisons", "", ", 11 of 12 comparisons", ", 5 of 6 seeds"]


def test_effects_are_in_a_table_and_in_the_report(tmp_path):
    sweep, runs = made(tmp_path)
    rebuild(tmp_path, runs)
    rows = list(csv.DictReader((tmp_path / FILE).read_text().splitlines()))
    assert [row["sentence"] for row in rows] == [one.sentence for one in find_effects(sweep)]
    assert rows[0]["sentence"] in (tmp_path / "report.html").read_text()
    write_effects(tmp_path, [])
    assert not (tmp_path / FILE).exists()


def test_few_seeds_have_a_student_t_interval(tmp_path):
    changes = [1.0, 2.0, 4.0]
    cells = [{"activation": name, "seed": seed} for name in ("relu", "tanh") for seed in range(3)]
    sweep, _ = read(tmp_path, cells, [1e-8] * 3 + [10 ** (change - 8) for change in changes])
    (one,) = gradient(find_effects(sweep)).values()
    interval = stats.ttest_1samp(changes, 0).confidence_interval(0.95)
    assert (one.low, one.high) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_interval(tmp_path):
    sweep, _ = read(tmp_path, [{"activation": "relu", "seed": 0}, {"activation": "tanh", "seed": 0}], [1.0, 0.01])
    (one,) = gradient(find_effects(sweep)).values()
    assert (one.effect, one.seeds) == (-2.0, 1)
    assert np.isnan(one.low)
    assert one.sentence == "tanh instead of relu: -2 decades"


def test_the_cost_grows_no_faster_than_the_number_of_runs(tmp_path):
    sweep, _ = made(tmp_path)

    def grid(seeds):
        cells = list(product("abcdefgh", "abcde", "abcde", range(seeds)))
        table = sweep.table.iloc[[0] * len(cells)].reset_index(drop=True)
        for place, key in enumerate(("x", "y", "z", "seed")):
            table[key] = [str(cell[place]) for cell in cells]
        return Sweep("large", table, ["x", "y", "z"], [sweep.folders[0]] * len(cells))

    few, many = grid(2), grid(20)
    assert len(find_effects(many)) == 2 * (2 * 15 + 4 * 7 * 2 + 16)  # 4000 runs
    assert python_calls(find_effects, many) < 10 * python_calls(find_effects, few)
