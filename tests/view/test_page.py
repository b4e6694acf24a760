"""The report: one file that holds all, fetches nothing and runs nothing but its own script."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import product

from tests.support.made_up import make_sweep, write_config

from gradlab.run.draw import rebuild_run
from gradlab.sweep.rebuild import rebuild
from gradlab.view.digest import Detail, decades, detail, digest
from gradlab.view.page.answer import answer

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Elements of a page, and what its script reads."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.scripts, self.links = [], [], []
        self.feed(path.read_text())
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action") and value]
        self.links += [name for name, _ in attrs if name.startswith("on")]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script" and self.scripts:
            self.scripts[-1] += data

    def handle_endtag(self, tag):
        if tag == "script":
            self.tags.append("/script")


def page_of(folder, overrides, **shape):
    runs = make_sweep(folder, overrides, **shape)
    rebuild(folder, runs)
    return Page(folder / "report.html")


def test_names_and_values_of_runs_are_inert(tmp_path):
    folder = tmp_path / "<script>alert(3)<"
    runs = make_sweep(folder, [[f'note="{EVIL}{number}"', f"seed={number}"] for number in (0, 1)], steps=(0, 10))
    record = json.loads((runs[0] / "run.json").read_text())
    record["verdicts"][0]["sentence"] = EVIL
    (runs[0] / "run.json").write_text(json.dumps(record | {"error": EVIL, "status": EVIL}))
    evil = runs[0].rename(folder / "<script>alert(4)<")
    rebuild(folder, [evil, runs[1]])
    page = Page(folder / "report.html")
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert EVIL + "0" in page.data["rows"][0], "inert, but whole"
    write_config(runs[0].parent / "alone", [f'note="{EVIL}"'])
    (evil / "gradients.csv").rename(folder / "alone" / "gradients.csv")
    (folder / "alone" / "run.json").write_text((evil / "run.json").read_text())
    rebuild_run(folder / "alone", caption=EVIL)
    page = Page(folder / "alone" / "report.html")
    assert page.tags.count("script") == 2
    assert "img" not in page.tags


def test_the_page_refers_to_nothing_outside_and_knows_its_script(tmp_path):
    page = page_of(tmp_path, [["activation=relu"], ["activation=tanh"]], steps=(0, 10))
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    text = (tmp_path / "report.html").read_text()
    digest_of_script = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest_of_script}'" in text
    assert "default-src 'none'" in text
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names)), "figures must not share names of clips and marks"


def test_the_page_holds_every_run_and_its_flow(tmp_path):
    page = page_of(
        tmp_path, [["activation=relu", "seed=0"], ["activation=tanh", "seed=0"], ["activation=tanh", "seed=1"]],
        gradient=lambda step, depth: {1: 0.0, 2: "nan"}.get(depth, 10.0**-depth), steps=(0, 5, 10),
    )  # fmt: skip
    data = page.data
    assert data["labels"] == ["relu, seed 0", "tanh, seed 0", "tanh, seed 1"]
    assert [row[data["columns"].index("seed")] for row in data["rows"]] == [0, 0, 1]
    layers = data["runs"][0]["flow"]["layers"]
    assert layers["steps"] == [0, 5, 10]
    assert layers["backward"][0] == ["0", "!", -3, -4, -5, -6]
    assert data["runs"][1]["answer"]["sentences"] == ["Step 0: healthy it is"]


def test_a_page_of_500_runs_is_below_5_megabytes(tmp_path):
    one = make_sweep(tmp_path, [["seed=0"]], hidden=lambda number: 50, steps=tuple(range(0, 610, 10)))[0]
    size = len(json.dumps(digest(one, detail=detail(500))))
    row = 40 * 12  # columns and characters of a cell
    assert 500 * (size + row) < 4_500_000
    assert len(json.dumps(digest(one, detail=detail(2000)))) < size / 2


def test_gradients_over_time_are_those_of_the_top_layer(tmp_path):
    (run,) = make_sweep(tmp_path, [["seed=0"]])
    lines = ["step,depth_index,layer,time,hidden_norm,hidden_grad_norm"]
    for step, depth, time in product((0, 9), (1, 2), (1, 2)):
        lines.append(f"{step},{depth},l{depth},{time},1.0,{10.0 ** (time - 3 * depth)!r}")
    (run / "timesteps.csv").write_text("\n".join(lines) + "\n")
    found = digest(run, detail=detail(1))["times"]
    assert found == {"steps": [0, 9], "x": [1, 2], "head": False, "backward": [[-5.0, -4.0], [-5.0, -4.0]]}


def test_what_has_no_logarithm_has_a_sign():
    assert [decades(value) for value in (1e-31, 0.0, float("nan"), float("inf"), None)] == [-31, "0", "!", "!", None]


def test_a_sweep_of_seeds_begins_with_its_median_run(tmp_path):
    page_of(tmp_path, [[f"seed={seed}"] for seed in (0, 1, 2)], accuracy=lambda number: number / 10, steps=(0, 10))
    text = (tmp_path / "report.html").read_text()
    assert "<h2>median: all runs</h2>" in text
    assert 'data-row="1"' in text


def test_a_run_begins_with_the_answer_whatever_became_of_it():
    flow = {"when": "final", "step": 9, "over": "depth", "name": "vanishing", "sentence": "they vanish"}
    start = flow | {"when": "initial", "step": 0, "name": "healthy", "sentence": "all is well"}
    time = flow | {"over": "time", "name": "exploding", "sentence": "they explode"}
    cause = {"when": "final", "over": "training", "name": "learning_rate_too_high", "sentence": "too high", "step": 9}
    cause |= {"root_cause": True, "remedies": [{"overrides": ["a=1", "b=2"], "reason": "r", "source": "s"}]}
    found = answer({"status": "completed", "verdicts": [start, time, flow, cause]})
    assert (found.kind, found.headline) == ("vanishing", "No: the gradient vanishes on its way back")
    assert found.sentences == ["Step 9: they vanish", "Step 0: all is well"]
    assert found.cause == "learning rate too high: too high"
    assert found.remedies == [("a=1 b=2", "r", "s")]
    assert answer({"status": "diverged", "verdicts": [start]}).headline == "No: training diverged"
    assert answer({"status": "failed", "error": "it broke"}).sentences == ["it broke"]
    assert answer({}).headline == "No gradient was recorded"
    test = answer({"lr_range": {"suggestion": 0.01, "lowest_at": 0.1, "blew_up_at": None}})
    assert (test.question, test.headline[:11]) == ("Which learning rate?", "Range test:")
    shallow = start | {"name": "shallow", "when": "final"}
    assert answer({"status": "completed", "verdicts": [shallow, time]}).kind == "exploding"


def test_the_page_names_the_layers_of_ones_own_model(tmp_path):
    (run,) = make_sweep(tmp_path, [["seed=0"]], hidden=lambda number: 5, steps=(0, 10))
    table = (run / "gradients.csv").read_text()
    for place, name in enumerate(["embed", "h.0.attn", "h.0.mlp", "h.1.attn", "h.1.mlp"]):
        table = table.replace(f",layers.{place},", f",{name},")
    (run / "gradients.csv").write_text(table)
    layers = digest(run, detail=detail(1))["layers"]
    assert layers["labels"] == ["embed", "h.0.attn", "h.1.attn", "h.0.mlp", "h.1.mlp", "the head"]
    assert [label for _, label in layers["ticks"]] == ["embed", "attn (2)", "mlp (2)"]
    assert len(layers["breaks"]) == 2


def test_only_a_page_of_one_run_holds_updates_and_a_range_test(tmp_path):
    (run,) = make_sweep(tmp_path, [["seed=0"]], steps=(0, 10))
    (run / "lr_range.csv").write_text("step,lr,train_loss,smoothed_loss\n0,0.001,2.0,2.0\n1,0.1,inf,1.0\n")
    record = json.loads((run / "run.json").read_text())
    test = {"suggestion": 0.01, "lowest_at": 0.1, "blew_up_at": None}
    (run / "run.json").write_text(json.dumps(record | {"lr_range": test, "chance": {"loss": 2.3, "accuracy": None}}))
    whole = digest(run, detail=Detail(everything=True))
    assert whole["updates"]["names"] == [f"layer {depth}" for depth in range(1, 6)] + ["head"]
    assert whole["rates"] == {
        "x": [-3.0, -1.0], "each": [2.0, "!"], "smoothed": [2.0, 1.0],
        "marks": [["take 0.01", -2.0], ["lowest 0.1", -1.0]],
    }  # fmt: skip
    assert whole["chance"] == {"loss": 2.3}
    assert not {"updates", "rates"} & set(digest(run, detail=detail(1)))
