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
  : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2).replace(/\.?0+e/, "e") : String(+value.toPrecision(4));
const power = exponent => "10" + [...String(exponent)].map(c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
const spell = (y, log) => y === ZERO ? "exactly 0" : y === ODD ? "not finite" : !log ? show(y) : Math.abs(y) > 300 ? `10^${y}` : show(+(10 ** y).toPrecision(2));  // y has two decimals

function ticks(low, high, whole, most = 5) {
  const raw = (high - low) / most || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const stride = Math.max(whole ? 1 : 0, unit * [1, 2, 5, 10].find(digit => digit * unit >= raw));
  const found = [];
  for (let i = Math.ceil(low / stride); i * stride <= high + 1e-9 * stride; i++) found.push(+(i * stride).toPrecision(12));
  return found;
}

// lines: [{name, x: [...], y: [...], color, dashed, labels, values}]; `values` is what to show in place of y; where `log`, y holds log10 of the values. A null in y breaks a line.
function chart({title, xName, yName = "", lines, log = false, xLabel = x => String(x), xTicks = null, rules = [], width = 460, height = 270}) {
  const longest = Math.max(...lines.map(line => line.name.length), ...rules.map(rule => rule.name.length));
  const slanted = xTicks && xTicks.some(([, text]) => text.length > 6);
  const [left, right, top, bottom] = [66, Math.min(24 + 6.4 * longest, width / 3), 30, slanted ? 92 : 36];
  const numbers = [...lines.flatMap(line => line.y), ...rules.filter(rule => rule.y !== undefined).map(rule => rule.y)].filter(y => typeof y === "number");
  const signs = new Set(lines.flatMap(line => line.y).filter(y => typeof y === "string"));
  let low = Math.min(...numbers), high = Math.max(...numbers);
  if (!numbers.length) [low, high] = [0, 1];
  const least = log ? 2 : Math.abs(high) * .05 || 1, slack = Math.max(.05 * (high - low), (least - (high - low)) / 2);
  [low, high] = [low - slack, high + slack];
  const xs = lines.flatMap(line => line.x), first = Math.min(...xs), last = Math.max(...xs);
  const lane = 16, yTop = top + (signs.has(ODD) ? lane : 0), yBottom = height - bottom - (signs.has(ZERO) ? lane : 0);
  const px = x => left + 6 + (width - left - right - 12) * (last > first ? (x - first) / (last - first) : .5);
  const py = y => y === ZERO ? yBottom + lane / 2 : y === ODD ? yTop - lane / 2 : yBottom - (yBottom - yTop) * (y - low) / (high - low);
  const svg = node("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": describe(title, xName, lines, log, xLabel)});
  svg.append(node("text", {x: 8, y: 15, class: "title"}, title));
  for (const [sign, y, name] of [[ODD, yTop - lane, "not finite"], [ZERO, yBottom, "exactly 0"]]) {
    if (!signs.has(sign)) continue;
    svg.append(node("rect", {x: left, y, width: width - left - right, height: lane, class: "lane"}),
      node("text", {x: left - 4, y: y + 12, "text-anchor": "end"}, name));
  }
  const few = log && high - low < 3, places = few ? [...ticks(Math.floor(low), high, true).flatMap(y => [y, y + Math.log10(2), y + Math.log10(5)])] : ticks(low, high, log, Math.max(3, height / 55));
  for (const y of numbers.length ? places.filter(y => y >= low && y <= high) : []) svg.append(
    node("line", {x1: left, x2: width - right, y1: py(y), y2: py(y), class: "rule"}),
    node("text", {x: left - 4, y: py(y) + 4, "text-anchor": "end"}, few ? show(10 ** y) : log ? power(y) : show(y)));
  const most = Math.max(3, (width - left - right) / 90), gap = (last - first) / (1.6 * most);
  const across = xTicks ?? [...new Set([first, ...ticks(first, last, true, most), last])].filter(x => x === first || x === last || Math.min(x - first, last - x) > gap).map(x => [x, xLabel(x)]);
  for (const [x, text] of across) svg.append(slanted
    ? node("text", {x: px(x), y: height - bottom + 14, "text-anchor": "end", transform: `rotate(-32 ${px(x)} ${height - bottom + 14})`}, text)
    : node("text", {x: px(x), y: height - bottom + 15, "text-anchor": "middle"}, text));
  svg.append(node("text", {x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle"}, slanted ? "" : xName),
    node("text", {x: 13, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${(top + height - bottom) / 2})`}, yName),
    node("path", {d: `M${left},${top}V${height - bottom}H${width - right}`, class: "frame"}));
  const points = [], names = [];
  rules.forEach((rule, i) => {
    const across = rule.y !== undefined;
    svg.append(node("line", across ? {x1: left, x2: width - right, y1: py(rule.y), y2: py(rule.y), class: "reference"}
      : {x1: px(rule.x), x2: px(rule.x), y1: top, y2: height - bottom, class: "reference"}));
    if (across) names.push([rule.name, "var(--quiet)", py(rule.y)]);
    else svg.append(node("text", {x: px(rule.x) - 4, y: top + 10 + 15 * i, "text-anchor": "end"}, rule.name));
  });
  lines.forEach((line, index) => {
    const stroke = line.color ?? `var(--l${lines.length > 1 ? Math.round(index * 3 / (lines.length - 1)) : 0})`;
    let path = "", joined = false, end = null;
    line.y.forEach((y, i) => {
      if (y === null) { joined = false; return; }
      const [x, h] = [px(line.x[i]), py(y)], alone = (line.y[i - 1] ?? null) === null && (line.y[i + 1] ?? null) === null;
      if (typeof y === "number") path += `${joined ? "L" : "M"}${x.toFixed(1)},${h.toFixed(1)}`;
      joined = typeof y === "number";
      end = h;
      if (!joined || alone || line.y.length <= 24 && !line.dashed) svg.append(node("circle", {cx: x, cy: h, r: alone ? 3.4 : 2.4, style: `fill:${stroke}`}));
      points.push([x, h, `${line.name}, ${line.labels?.[i] ?? `${xName} ${xLabel(line.x[i])}`}: ${line.values ? spell(line.values[i], false) : spell(y, log)}`]);
    });
    svg.append(node("path", {d: path || "M0,0", class: line.dashed ? "reference" : "line", style: `stroke:${stroke}`}));
    names.push([line.name, stroke, end ?? top]);
  });
  // Names stand at the ends of their lines, moved apart where they would overlap.
  names.sort((a, b) => a[2] - b[2]);
  let above = top - 8;
  const room = Math.min(14, (height - bottom - top + 20) / Math.max(1, names.length));
  names.forEach(([name, fill, y], i) => {
    above = Math.max(above + room, Math.min(y + 4, height - bottom + 8 - room * (names.length - 1 - i)));
    svg.append(node("text", {x: width - right + 8, y: above, style: `fill:${fill}`}, name.length * 6.4 > right - 14 ? `${name.slice(0, Math.floor((right - 20) / 6.4))}…` : name));
  });
  pointAt(svg, points, place => place[2]);
  return svg;
}

// Alternative text: where each line begins and ends.
function describe(title, xName, lines, log, xLabel) {
  const ends = lines.map(line => {
    const known = line.y.map((y, i) => [y, i]).filter(([y]) => y !== null), [a, b] = [known[0], known.at(-1)];
    return a ? `${line.name}: ${spell(a[0], log)} at ${xName} ${xLabel(line.x[a[1]])}, ${spell(b[0], log)} at ${xLabel(line.x[b[1]])}` : line.name;
  });
  return `${title}. ${ends.join("; ")}.`;
}

// A chart that is drawn again when its place becomes wider or narrower.
function mount(options) {
  const box = make("div", {className: "chart"}, chart(options));
  let width = 0;
  // In the next frame: a chart that is drawn in the callback resizes its box again, which browsers report as an error.
  new ResizeObserver(() => requestAnimationFrame(() => {
    const now = Math.round(box.clientWidth);
    if (!now || Math.abs(now - width) < 2) return;
    width = now;
    box.replaceChildren(chart({...options, width}));
  })).observe(box);
  return box;
}

// Shows a text beside the nearest of `places` ([x, y, ...] in the units of the SVG), under the pointer or by the arrow keys.
function pointAt(svg, places, text, open = null) {
  const tip = document.getElementById("tip"), mark = node("circle", {r: 5, class: "mark", visibility: "hidden"});
  let current = -1;
  svg.append(mark);
  const nearest = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let found = -1, least = 30 ** 2;
    places.forEach((place, i) => {
      const distance = (place[0] - at.x) ** 2 + (place[1] - at.y) ** 2;
      if (distance < least) [found, least] = [i, distance];
    });
    return found;
  };
  const hide = () => { tip.hidden = true; mark.setAttribute("visibility", "hidden"); current = -1; };
  const reveal = i => {
    current = i;
    const place = places[i], at = new DOMPoint(place[0], place[1]).matrixTransform(svg.getScreenCTM());
    mark.setAttribute("cx", place[0]);
    mark.setAttribute("cy", place[1]);
    mark.setAttribute("visibility", "visible");
    (svg.closest("dialog") ?? document.querySelector("main")).append(tip);  // a modal dialog covers what is outside it
    tip.hidden = false;
    tip.textContent = text(place);
    tip.style.left = `${Math.max(4, Math.min(at.x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(at.y - tip.offsetHeight - 10, 4)}px`;
  };
  svg.addEventListener("pointermove", event => {
    const found = nearest(event);
    svg.style.cursor = found >= 0 && open ? "pointer" : "";
    if (found < 0) hide();
    else reveal(found);
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (by && places.length) {
      reveal(current < 0 ? (by > 0 ? 0 : places.length - 1) : (current + by + places.length) % places.length);
      event.preventDefault();
      event.stopPropagation();
    }
    if (event.key === "Enter" && open && current >= 0) open(places[current]);
  });
  if (open) svg.addEventListener("click", event => { const found = nearest(event); if (found >= 0) open(places[found]); });
}
