// One run: its verdicts, its figures, and every column of its row.
const data = JSON.parse(document.getElementById("data").textContent);
const column = Object.fromEntries(data.columns.map((name, place) => [name, place]));
const cell = (row, name) => data.rows[row][column[name]];
const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const titled = row => data.labels[row];

function charts(flow) {
  const found = [], sides = {backward: "Gradient norm (dL/dz) against depth", forward: "Spread of each layer's output"};
  const over = (part, side) => part.steps.map((step, i) => ({name: `step ${step}`, x: part.x, y: part[side][i]}));
  const predicted = flow.layers?.theory ? [{name: "theory", x: flow.layers.x, y: flow.layers.theory}] : [];
  for (const [side, title] of Object.entries(sides)) if (flow.layers) found.push(chart({
    title, xName: "layer", log: true, lines: [...over(flow.layers, side), ...(side === "backward" ? predicted : [])],
    xLabel: x => flow.layers.head && x === flow.layers.x.at(-1) ? "head" : String(x)}));
  if (flow.times) found.push(chart({title: "Gradient norm (dL/dh) against time", xName: "time step", log: true, lines: over(flow.times, "backward")}));
  const curve = name => ({name: name.replace("_", " "), x: flow.curves[name][0], y: flow.curves[name][1]});
  const losses = ["train_loss", "eval_loss"].filter(name => flow.curves?.[name]);
  if (losses.length) found.push(chart({title: "Loss while training", xName: "step", lines: losses.map(curve)}));
  if (flow.curves?.eval_accuracy) found.push(chart({title: "Test accuracy while training", xName: "step", lines: [curve("eval_accuracy")]}));
  return found;
}

function fill(place, row) {
  const run = data.runs[row];
  const lines = run.verdicts.map(([step, sentence]) => make("p", {}, `step ${step}: ${sentence}`));
  if (cell(row, "error")) lines.unshift(make("p", {className: "failed"}, String(cell(row, "error"))));
  const known = data.columns.filter(name => cell(row, name) !== null && !["run", "error"].includes(name));
  place.replaceChildren(
    make("h2", {id: "run-title"}, titled(row), ` (${cell(row, "status")})`), make("p", {}, make("code", {}, String(cell(row, "run")))), ...lines,
    make("div", {className: "charts"}, ...charts(run.flow)),
    make("dl", {}, ...known.map(name => make("div", {}, make("dt", {}, name), make("dd", {}, show(cell(row, name)))))));
}

let current = 0;
function openRun(row) {
  const dialog = document.getElementById("dialog");
  current = row;
  fill(document.getElementById("run"), row);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}
