// A line chart as SVG, with a lane for exact zeros below the data and one for what is not finite above it.
const SVG = "http://www.w3.org/2000/svg";
const [ZERO, ODD] = ["0", "!"];
const node = (name, attributes = {}, text = "") => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};
const show = value => value === null || value === undefined ? "" : typeof value !== "number" ? String(value)
  : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2) : String(+value.toPrecision(4));
const power = exponent => "10" + [...String(exponent)].map(c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");

function ticks(low, high, whole) {
  const raw = (high - low) / 5 || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const stride = Math.max(whole ? 1 : 0, unit * [1, 2, 5, 10].find(digit => digit * unit >= raw));
  const found = [];
  for (let i = Math.ceil(low / stride); i * stride <= high + 1e-9 * stride; i++) found.push(+(i * stride).toPrecision(12));
  return found;
}

// lines: [{name, x: [...], y: [...]}]; where `log`, y holds log10 of the values.
function chart({title, xName, lines, log = false, xLabel = x => String(x)}) {
  const [width, height, left, right, top, bottom] = [460, 270, 58, 78, 26, 36];
  const numbers = lines.flatMap(line => line.y).filter(y => typeof y === "number");
  const signs = new Set(lines.flatMap(line => line.y).filter(y => typeof y === "string"));
  let low = Math.min(...numbers), high = Math.max(...numbers);
  if (!numbers.length) [low, high] = [0, 1];
  const least = log ? 2 : Math.abs(high) * .05 || 1, slack = Math.max(.05 * (high - low), (least - (high - low)) / 2);
  [low, high] = [low - slack, high + slack];
  const xs = lines.flatMap(line => line.x), first = Math.min(...xs), last = Math.max(...xs);
  const lane = 16, yTop = top + (signs.has(ODD) ? lane : 0), yBottom = height - bottom - (signs.has(ZERO) ? lane : 0);
  const px = x => left + (width - left - right) * (last > first ? (x - first) / (last - first) : .5);
  const py = y => y === ZERO ? yBottom + lane / 2 : y === ODD ? yTop - lane / 2 : yBottom - (yBottom - yTop) * (y - low) / (high - low);
  const svg = node("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title});
  svg.append(node("text", {x: left, y: 14, class: "title"}, title));
  for (const [sign, y, name] of [[ODD, yTop - lane, "not finite"], [ZERO, yBottom, "exactly 0"]]) {
    if (!signs.has(sign)) continue;
    svg.append(node("rect", {x: left, y, width: width - left - right, height: lane, class: "lane"}),
      node("text", {x: left - 4, y: y + 12, "text-anchor": "end"}, name));
  }
  for (const y of numbers.length ? ticks(low, high, log) : []) svg.append(
    node("line", {x1: left, x2: width - right, y1: py(y), y2: py(y), class: "rule"}),
    node("text", {x: left - 4, y: py(y) + 4, "text-anchor": "end"}, log ? power(y) : show(y)));
  for (const x of new Set([first, ...ticks(first, last, true), last])) if (x === first || x === last || Math.min(x - first, last - x) > (last - first) / 9)
    svg.append(node("text", {x: px(x), y: height - bottom + 15, "text-anchor": "middle"}, xLabel(x)));
  svg.append(node("text", {x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle"}, xName),
    node("path", {d: `M${left},${top}V${height - bottom}H${width - right}`, class: "frame"}));
  const places = [];
  lines.forEach((line, index) => {
    const stroke = `var(--l${lines.length > 1 ? Math.round(index * 3 / (lines.length - 1)) : 0})`;
    let path = "", joined = false;
    line.y.forEach((y, i) => {
      if (y === null) { joined = false; return; }
      const [x, h] = [px(line.x[i]), py(y)];
      if (typeof y === "number") path += `${joined ? "L" : "M"}${x.toFixed(1)},${h.toFixed(1)}`;
      joined = typeof y === "number";
      if (!joined || line.y.length <= 24) svg.append(node("circle", {cx: x, cy: h, r: 2.2, style: `fill:${stroke}`}));
      const value = y === ZERO ? "exactly 0" : y === ODD ? "not finite" : log ? show(10 ** y) === "0" ? `10^${y}` : show(10 ** y) : show(y);
      places.push([x, h, `${line.name}, ${xName} ${xLabel(line.x[i])}: ${value}`]);
    });
    svg.append(node("path", {d: path || "M0,0", class: "line", style: `stroke:${stroke}`}),
      node("text", {x: width - right + 8, y: top + 14 + 15 * index, style: `fill:${stroke}`}, line.name));
  });
  pointAt(svg, places, place => place[2]);
  return svg;
}

// Shows a text beside the nearest of `places` ([x, y, ...] in the units of the SVG) and tells `open` of a click on it.
function pointAt(svg, places, text, open = null) {
  const tip = document.getElementById("tip");
  const nearest = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let found = null, least = 14 ** 2;
    for (const place of places) {
      const distance = (place[0] - at.x) ** 2 + (place[1] - at.y) ** 2;
      if (distance < least) [found, least] = [place, distance];
    }
    return found;
  };
  svg.addEventListener("pointermove", event => {
    const place = nearest(event);
    tip.hidden = !place;
    svg.style.cursor = place && open ? "pointer" : "";
    if (!place) return;
    (svg.closest("dialog") ?? document.querySelector("main")).append(tip);  // a modal dialog covers all that is outside it
    tip.textContent = text(place);
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.max(event.clientY - tip.offsetHeight - 10, 4)}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  if (open) svg.addEventListener("click", event => { const place = nearest(event); if (place) open(place); });
}
