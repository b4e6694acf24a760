// The table of runs: sorted by a click on a column, filtered by words and conditions.
let order = data.rows.map((_, row) => row), sorting = {name: data.metrics[0]?.column ?? null, down: data.metrics[0]?.better === "high"};
// Hydra's number of the run, which the console printed; none where two runs have the same, as in a sweep that was given twice.
const jobs = data.rows.map(row => row[column.job] ?? null), numbered = new Set(jobs).size === jobs.length && !jobs.includes(null);
const number = row => numbered ? `#${jobs[row]}` : "";
const words = data.rows.map(row => row.filter(value => value !== null).join(" ").toLowerCase());
const numeric = name => data.rows.some(row => typeof row[column[name]] === "number") && !data.rows.some(row => typeof row[column[name]] === "string");

// "relu depth=50 eval_accuracy>0.5": every word must be found, every condition hold.
function matcher(text) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map(term => {
    const [, name, sign, value] = term.match(/^([\w.@/]+)(<=|>=|=|<|>)(.*)$/) ?? [];
    const found = name && data.columns.find(one => one.toLowerCase() === name || one.toLowerCase().split(".").at(-1) === name);
    if (!found) return row => words[row].includes(term);
    const number = Number(value);
    return row => {
      const held = cell(row, found);
      if (sign === "=") return typeof held === "number" ? held === number : String(held ?? "").toLowerCase() === value;
      if (held === null || value === "") return false;
      return {"<": held < number, ">": held > number, "<=": held <= number, ">=": held >= number}[sign];
    };
  });
  return row => tests.every(test => test(row));
}

function compare(a, b) {
  const [x, y] = [cell(a, sorting.name), cell(b, sorting.name)];
  if (x === null || y === null) return (x === null) - (y === null) || a - b;  // what is unknown stays below
  const sign = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, {numeric: true});
  return (sorting.down ? -sign : sign) || a - b;
}

function drawTable() {
  const table = document.getElementById("table"), matches = matcher(document.getElementById("filter").value);
  const names = document.getElementById("all-columns").checked ? data.columns : data.shown;
  order = data.rows.map((_, row) => row).filter(matches);
  if (sorting.name) order.sort(compare);
  const heads = names.map(name => {
    const button = make("button", {type: "button"}, name, sorting.name === name ? (sorting.down ? " ▼" : " ▲") : "");
    button.addEventListener("click", () => sortBy(name));
    const head = make("th", {scope: "col", className: numeric(name) ? "number" : ""}, button);
    head.setAttribute("aria-sort", sorting.name !== name ? "none" : sorting.down ? "descending" : "ascending");
    return head;
  });
  table.tHead.replaceChildren(make("tr", {}, make("th", {scope: "col"}, "run"), ...heads));
  table.tBodies[0].replaceChildren(...order.map(row => {
    const open = make("button", {type: "button", title: String(cell(row, "run"))}, number(row) || "open");
    open.setAttribute("aria-label", `open run ${number(row)}: ${titled(row)}`.replace(" :", ":"));
    const cells = names.map(name => {
      const made = make("td", {className: numeric(name) ? "number" : ""}, show(cell(row, name)));
      if (name.startsWith("verdict_") && cell(row, name)) made.prepend(make("span", {className: `dot ${cell(row, name)}`}));
      if (name === "status") made.classList.add(cell(row, name));
      if (name === "error") Object.assign(made, {className: "failed", title: show(cell(row, name))});
      return made;
    });
    const line = make("tr", {}, make("td", {}, open), ...cells);
    line.dataset.row = row;
    line.addEventListener("click", () => openRun(row));
    return line;
  }));
  document.getElementById("shown").textContent = `${order.length} of ${data.rows.length} runs`;
}

function sortBy(name) {
  const metric = data.metrics.find(one => one.column === name);
  sorting = {name, down: sorting.name === name ? !sorting.down : metric?.better === "high"};
  drawTable();
  [...document.querySelectorAll("#table thead button")].find(button => button.textContent.startsWith(name))?.focus();
}
