// Two keys against each other: the median of a metric over all runs that share the two values.
const SHADES = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];

function median(values, worst) {
  const ranked = values.map(value => value ?? worst).sort((a, b) => a - b);
  const [low, high] = [ranked[(ranked.length - 1) >> 1], ranked[ranked.length >> 1]];
  return low === high ? low : (low + high) / 2;
}

function drawGrid() {
  const [rows, columns] = ["grid-rows", "grid-columns"].map(id => document.getElementById(id).value);
  const metric = data.metrics[document.getElementById("grid-metric").value];
  const values = key => [...new Set(data.rows.map(row => row[column[key]]))].sort((a, b) =>
    String(a).localeCompare(String(b), undefined, {numeric: true}));
  const [down, across] = [values(rows), values(columns)];
  const groups = new Map();
  data.rows.forEach((row, place) => {
    const key = `${down.indexOf(row[column[rows]])},${across.indexOf(row[column[columns]])}`;
    const value = cell(place, "status") === "completed" ? row[column[metric.column]] : null;
    groups.set(key, [...(groups.get(key) ?? []), value]);
  });
  // A run that did not complete counts as worse than all others.
  const worst = metric.better === "high" ? -Infinity : Infinity;
  const medians = new Map([...groups].map(([key, found]) => [key, median(found, worst)]));
  const measured = [...medians.values()].filter(Number.isFinite);
  const log = metric.log || Math.min(...measured) > 0 && Math.max(...measured) >= 100 * Math.min(...measured);
  const place = value => log ? Math.log10(value) : value;
  const finite = [...medians.values()].map(place).filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const body = down.map((first, i) => make("tr", {}, make("th", {scope: "row"}, String(first ?? "")), ...across.map((second, j) => {
    const value = medians.get(`${i},${j}`), runs = groups.get(`${i},${j}`)?.length ?? 0;
    const made = make("td", {title: `${runs} runs`}, value === undefined ? "" : Number.isFinite(value) ? show(value) : "–");
    if (Number.isFinite(place(value ?? NaN))) {
      const shade = Math.round((SHADES.length - 1) * (high > low ? (place(value) - low) / (high - low) : .5));
      made.style.background = SHADES[shade];
      made.style.color = shade < 6 ? "#fff" : "#000";
    }
    return made;
  })));
  const head = make("tr", {}, make("th", {scope: "col"}, `${rows} \\ ${columns}`), ...across.map(name => make("th", {scope: "col"}, String(name ?? ""))));
  document.getElementById("grid-table").replaceChildren(
    make("caption", {}, `median ${metric.label}`), make("thead", {}, head), make("tbody", {}, ...body));
}

function startGrid() {
  const keys = data.swept.filter(key => new Set(data.rows.map(row => row[column[key]])).size <= 60);
  if (keys.length < 2 || !data.metrics.length) return;
  for (const [id, chosen] of [["grid-rows", keys[0]], ["grid-columns", keys[1]]]) {
    const select = document.getElementById(id);
    select.append(...keys.map(key => make("option", {value: key, selected: key === chosen}, key)));
    select.addEventListener("change", drawGrid);
  }
  const select = document.getElementById("grid-metric");
  select.append(...data.metrics.map((metric, place) => make("option", {value: String(place)}, metric.label)));
  select.addEventListener("change", drawGrid);
  document.getElementById("grid").hidden = false;
  drawGrid();
}
