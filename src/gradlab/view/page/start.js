// Connects the page's parts once they are there.
for (const figure of document.querySelectorAll("figure")) {
  const places = JSON.parse(figure.dataset.places), metric = data.metrics[0], svg = figure.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", figure.dataset.title);
  const about = ([, , row, text]) => text || [titled(row), `seed ${cell(row, "seed")}, ${cell(row, "status")}`,
    ...data.metrics.map(one => `${one.label}: ${show(cell(row, one.column))}`)].join("\n");
  if (!places.length || !metric) continue;
  svg.setAttribute("tabindex", 0);
  pointAt(svg, places, about, ([, , row]) => { if (row >= 0) openRun(row); });
}
if (data.single) {
  unfold(0);
} else {
  const step = by => {
    const place = order.indexOf(current) + by;
    if (order[place] !== undefined) openRun(order[place]);
  };
  document.getElementById("filter").addEventListener("input", drawTable);
  document.getElementById("all-columns").addEventListener("change", drawTable);
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("close").addEventListener("click", () => document.getElementById("dialog").close());
  document.getElementById("dialog").addEventListener("keydown", event => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  for (const button of document.querySelectorAll("button[data-row]")) button.addEventListener("click", () => openRun(+button.dataset.row));
  startGrid();
  drawTable();
}
