// What the pages about runs share: text, tables, curves.
const palette = ["#2563eb", "#dc6803", "#0f9d76", "#b4318f", "#7c5cff", "#64748b", "#d92d20", "#0891b2", "#a16207", "#65a30d"];
const dashes = ["", "7 3", "2 2.5", "9 2 2 2", "14 4"];
// Fifty lines can be told apart: ten colours, then the same with dashes.
const stroke = index => ({colour: palette[index % palette.length], dash: dashes[Math.floor(index / palette.length) % dashes.length]});
const byId = id => document.getElementById(id);
const format = value => typeof value !== "number" ? String(value) : Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(+value.toPrecision(4));
function element(name, attributes, text) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function drawing(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function ticks(low, high) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(+value.toPrecision(12));
  return found;
}
// The vertical scale of values: logarithmic where they are positive and span more than three powers of ten.
function scale(values) {
  let [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  if (low > 0 && high / low > 1000) {
    const powers = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) powers.push(10 ** power);
    return {share: value => Math.log(value / low) / Math.log(high / low), ticks: powers, isLog: true};
  }
  if (low === high) { low -= 0.5; high += 0.5; }
  return {share: value => (value - low) / (high - low), ticks: ticks(low, high), isLog: false};
}
// One card of curves on one pair of axes. lines = [{label, points: [[kimg, value], ...], colour, dash}, ...]; the pointer names the nearest.
function chart(title, lines, maxKimg) {
  const width = 360, height = 200, left = 46, right = 8, top = 8, bottom = 24;
  const points = lines.flatMap(line => line.points);
  const end = points.reduce((most, point) => Math.max(most, point[0]), maxKimg) || 1;
  const vertical = scale(points.map(point => point[1]));
  const x = value => left + value / end * (width - left - right);
  const y = value => height - bottom - vertical.share(value) * (height - top - bottom);
  const svg = drawing("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title});
  for (const value of vertical.ticks) {
    svg.append(drawing("line", {class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value)}));
    svg.append(drawing("text", {x: left - 5, y: y(value) + 4, "text-anchor": "end"}, format(value)));
  }
  for (const value of ticks(0, end)) svg.append(drawing("text", {x: x(value), y: height - 6, "text-anchor": "middle"}, format(value)));
  const drawn = lines.map(line => {
    const path = line.points.map((point, i) => `${i ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("");
    const marks = [drawing("path", {d: path, stroke: line.colour, "stroke-dasharray": line.dash})];
    if (line.points.length === 1) marks.push(drawing("circle", {class: "point", cx: x(line.points[0][0]), cy: y(line.points[0][1]), r: 2.5, fill: line.colour}));
    svg.append(...marks);
    return marks;
  });
  const card = element("div", {class: "card"}), hint = element("span", {class: "hint"});
  const name = element("b", {}, title);
  if (vertical.isLog) name.append(element("small", {}, " log"));
  card.append(hint, name, svg);
  const stress = line => {
    svg.classList.toggle("pointed", line >= 0);
    drawn.forEach((marks, i) => marks.forEach(mark => mark.classList.toggle("near", i === line)));
  };
  card.pick = label => stress(lines.findIndex(line => line.label === label));
  const point = (line, at) => {
    stress(line);
    hint.textContent = line < 0 ? "" : `${lines[line].label} · ${format(at[1])} at ${format(at[0])} kimg`;
  };
  svg.addEventListener("mousemove", event => {
    const box = svg.getBoundingClientRect(), zoom = width / box.width;
    const [px, py] = [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
    let best = [Infinity, -1, null];
    lines.forEach((line, i) => line.points.forEach(at => {
      const distance = (x(at[0]) - px) ** 2 + (y(at[1]) - py) ** 2;
      if (distance < best[0]) best = [distance, i, at];
    }));
    point(best[1], best[2]);
  });
  svg.addEventListener("mouseleave", () => point(-1));
  return card;
}
function legend(lines) {
  const node = element("div", {class: "legend"});
  for (const line of lines) node.append(element("i", {style: `background:${line.colour}`}), `${line.label} ${format(line.points[line.points.length - 1][1])}`);
  return node;
}
function table(node, rows) {
  for (const [key, value] of rows) {
    const row = element("tr");
    row.append(element("th", {}, key), element("td", {}, value));
    node.append(row);
  }
}
