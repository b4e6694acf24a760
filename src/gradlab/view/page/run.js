// One run: whether the gradient arrives, its charts, and every column of its row.
const data = JSON.parse(document.getElementById("data").textContent);
const column = Object.fromEntries(data.columns.map((name, place) => [name, place]));
const cell = (row, name) => data.rows[row][column[name]];
const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const titled = row => data.labels[row];
const TRAIN = "var(--ink)", EVAL = "var(--eval)";

// Lines of one side of the layers: broken between groups of layers, the head apart from the hidden layers.
function overLayers(layers, side) {
  const {x, head, breaks = []} = layers, hidden = head ? x.length - 1 : x.length;
  const span = hidden > 1 ? x[hidden - 1] - x[0] : 1, apart = (x[Math.max(0, hidden - 1)] ?? 0) + Math.max(1, .1 * span);
  const line = (name, values, more = {}) => {
    const [xs, ys, labels] = [[], [], []];
    const add = (place, value, label) => { xs.push(place); ys.push(value ?? null); labels.push(label); };
    for (let i = 0; i < hidden; i++) {
      if (breaks.some(at => i && x[i - 1] < at && at < x[i])) add(x[i - 1], null, "");
      add(x[i], values[i], layers.labels ? layers.labels[i] : `layer ${x[i]}`);
    }
    if (head) { add(apart, null, ""); add(apart, values[hidden], "head"); }
    return {name, x: xs, y: ys, labels, ...more};
  };
  const lines = layers.steps.map((step, i) => line(`step ${step}`, layers[side][i]));
  if (side === "backward" && layers.theory) lines.push(line("theory", layers.theory, {dashed: true, color: "var(--quiet)"}));
  const xLabel = at => head && at === apart ? "head" : String(at);
  const xTicks = layers.ticks ? [...layers.ticks, ...(head ? [[apart, "head"]] : [])] : null;
  return {lines, xLabel, xTicks, xName: "layer", log: true};
}

function charts(flow, {big = false} = {}) {
  const found = [], add = (options, main = false) => found.push(mount({...options, height: main && big ? 400 : 290}));
  const overTime = flow.times && {lines: flow.times.steps.map((step, i) => ({name: `step ${step}`, x: flow.times.x, y: flow.times.backward[i]})), xName: "time step", log: true};
  const depth = flow.layers && flow.layers.x.length > (flow.layers.head ? 2 : 1);
  const backward = () => add({title: `Gradient norm (${flow.layers.of}) against depth`, yName: "norm over the batch", ...overLayers(flow.layers, "backward")}, true);
  if (depth) backward();
  if (overTime) add({title: "Gradient norm (dL/dh) against time", yName: "norm over the batch", ...overTime}, !depth);
  if (flow.layers && !depth && !overTime) backward();
  if (flow.layers && (depth || !overTime)) add({title: "Spread of each layer's output", yName: "standard deviation", ...overLayers(flow.layers, "forward")});
  const curve = (name, color) => ({name: name.replace("_", " "), x: flow.curves[name][0], y: flow.curves[name][1], color});
  const losses = ["train_loss", "eval_loss"].filter(name => flow.curves?.[name]);
  const chance = kind => flow.chance?.[kind] ? [{name: "chance", y: flow.chance[kind]}] : [];
  if (losses.length) add(decades({title: "Loss while training", xName: "step", rules: chance("loss"), lines: losses.map(name => curve(name, name === "train_loss" ? TRAIN : EVAL))}));
  if (flow.curves?.eval_accuracy) add({title: "Test accuracy while training", xName: "step", rules: chance("accuracy"), lines: [curve("eval_accuracy", EVAL)]});
  if (flow.updates) add({title: "Update / weights, by layer", yName: "ratio of norms", xName: "step", log: true, rules: [{name: "aim: 0.001", y: -3}],
    lines: flow.updates.lines.map((y, i, all) => ({name: flow.updates.names[i], x: flow.updates.x, y, color: flow.updates.names[i] === "head" ? TRAIN : `var(--m${Math.round(i * 3 / Math.max(1, all.length - 1))})`}))});
  if (flow.rates) add({title: "Learning-rate range test", xName: "learning rate", yName: "loss of the batch", xLabel: x => show(10 ** x), xTicks: ticks(Math.ceil(flow.rates.x[0]), flow.rates.x.at(-1), true).map(x => [x, power(x)]),
    rules: flow.rates.marks.map(([name, x]) => ({name, x})), lines: [{name: "each step", x: flow.rates.x, y: flow.rates.each, color: "var(--quiet)"}, {name: "smoothed", x: flow.rates.x, y: flow.rates.smoothed, color: TRAIN}]}, true);
  if (flow.likeness) add({title: "Cosine of dL/dz and the neighbour's", xName: "layer", lines: flow.likeness.lines.map((y, i) => ({name: `${flow.likeness.lags[i]} apart`, x: flow.likeness.x, y}))});
  return found;
}

// In decades where the values span two or more of them.
function decades(options) {
  const numbers = options.lines.flatMap(line => line.y).filter(y => typeof y === "number");
  if (Math.min(...numbers) <= 0 || Math.max(...numbers) < 100 * Math.min(...numbers)) return options;
  const to = y => typeof y === "number" ? Math.log10(y) : y;
  return {...options, log: true, rules: options.rules.map(rule => ({...rule, y: to(rule.y)})), lines: options.lines.map(line => ({...line, values: line.y, y: line.y.map(to)}))};
}

function columns(row) {
  const known = data.columns.filter(name => cell(row, name) !== null && !["run", "error"].includes(name));
  return make("dl", {}, ...known.map(name => make("div", {}, make("dt", {}, name), make("dd", {}, show(cell(row, name))))));
}

// In a sweep's page: a run in a dialog.
function fill(place, row) {
  const run = data.runs[row], said = run.answer;
  const lines = said.sentences.map(sentence => make("p", {}, sentence));
  if (said.cause) lines.push(make("p", {}, make("b", {}, "Root cause: "), said.cause));
  if (said.remedy) lines.push(make("p", {}, "Try: ", make("code", {}, said.remedy)));
  place.replaceChildren(
    make("h2", {id: "run-title"}, titled(row), ` (${cell(row, "status")})`), make("p", {}, make("code", {}, String(cell(row, "run")))),
    make("div", {className: `answer ${said.kind}`}, make("p", {className: "said"}, said.headline), ...lines),
    make("div", {className: "charts"}, ...charts(run.flow)), columns(row));
}

// In a run's own page: the first chart beside the answer, the others below.
function unfold(row) {
  const [first, ...others] = charts(data.runs[row].flow, {big: true});
  if (first) document.getElementById("first-chart").append(first);
  document.getElementById("more-charts").append(...others);
  document.getElementById("columns").append(columns(row));
}

let current = 0;
function openRun(row) {
  const dialog = document.getElementById("dialog");
  current = row;
  if (!dialog.open) dialog.showModal();
  fill(document.getElementById("run"), row);
  dialog.scrollTop = 0;
}
