// The picture. What moves seldom (links, calls, nodes at a time) is drawn once into a larger picture beside the visible
// one; moving the map then costs one copy, so that two thousand nodes follow the hand without a graphics card.
const canvas = document.getElementById("picture"), stage = document.getElementById("stage");
const front = canvas.getContext("2d"), back = document.createElement("canvas"), behind = back.getContext("2d");
const MARGIN = 0.35, SIZES = [3, 4, 5.2, 7], SHADES = 24;
const look = { x: 0.5, y: 0.5, zoom: 1 };          // middle of the picture in places 0..1, and how near
const drawn = { x: 0, y: 0, scale: 1, stale: true }; // what `back` shows
const state = { step: 0, colour: "reputation", links: true, paths: true, node: -1, call: -1, hover: -1 };
const dark = matchMedia("(prefers-color-scheme: dark)");
let wide = 1, high = 1, dots = 1, extent = [1, 1], asked = 0, later = 0;

const INKS = { light: { paper: [255, 255, 255], ink: "#24303f", muted: "#7a8794", halo: "#ffffff", none: "#c3ccd4", call: "#2f6db3" },
  dark: { paper: [23, 28, 33], ink: "#e4e9ee", muted: "#8795a2", halo: "#171c21", none: "#55626e", call: "#8fc0f2" } };
const RAMPS = { // low, middle, high; from light to dark paper what matters stands out
  reputation: { light: ["#c0392b", "#e0a84f", "#2f6db3"], dark: ["#ff6b5e", "#e6b765", "#6fb1f5"] },
  load: { light: ["#c9dcee", "#d9822b", "#a11d12"], dark: ["#34506b", "#e39a4b", "#ff7a6b"] },
  score: { light: ["#7d5ba6", "#9aa5b1", "#2a8f5c"], dark: ["#b18be0", "#7d8995", "#5fd394"] } };
const ROLES = { light: ["#9aa5b1", "#7fb0dd", "#2f6db3", "#173f6b"], dark: ["#6b7885", "#5f97cf", "#8fc4fa", "#e3f0ff"] };
const CONDUCTS = { light: ["#2f6db3", "#d9822b", "#c0392b", "#7d5ba6", "#3a8f5c", "#8c6d4f"], dark: ["#6aa5e0", "#f0a253", "#ff7566", "#b790e6", "#69c98f", "#c9a27c"] };
const OPTIONS = ["#2f6db3", "#d9822b", "#3a8f5c", "#7d5ba6", "#8c6d4f", "#6aa5e0", "#c77da0", "#7a8794"];
const mode = () => (dark.matches ? "dark" : "light");
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const ramps = {};
function ramp(name) { // SHADES colours from low over middle to high
  const key = name + mode();
  if (!ramps[key]) {
    const [a, b, c] = RAMPS[name][mode()].map(rgb);
    ramps[key] = Array.from({ length: SHADES }, (_, i) => {
      const t = (2 * i) / (SHADES - 1), [p, q, f] = t < 1 ? [a, b, t] : [b, c, t - 1];
      return "rgb(" + p.map((v, k) => Math.round(v + (q[k] - v) * f)).join(",") + ")";
    });
  }
  return ramps[key];
}
let conducts = [];
function colourOf(node) {
  const inks = INKS[mode()];
  if (state.colour === "role") return ROLES[mode()][data.role[node]];
  if (state.colour === "conduct") return CONDUCTS[mode()][conducts.indexOf(words.conduct_of[node]) % 6];
  const value = at(state.colour, state.step, node);
  return value === null ? inks.none : ramp(state.colour)[Math.min(SHADES - 1, Math.floor((value / 100) * SHADES))];
}

// From places to pixels of the visible picture.
const scale = () => Math.min((wide - 60) / extent[0], (high - 60) / extent[1]) * look.zoom;
const px = (node) => wide / 2 + (data.place[2 * node] / FULL - look.x) * scale();
const py = (node) => high / 2 + (data.place[2 * node + 1] / FULL - look.y) * scale();
const grown = (node) => SIZES[data.role[node]] * Math.min(2.4, Math.max(0.8, look.zoom ** 0.35)) * (words.nodes > 400 ? 0.85 : 1.25);

function resize() {
  const box = stage.getBoundingClientRect();
  wide = Math.max(80, box.width); high = Math.max(80, box.height); dots = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.round(wide * dots); canvas.height = Math.round(high * dots);
  back.width = canvas.width + 2 * Math.round(canvas.width * MARGIN); back.height = canvas.height + 2 * Math.round(canvas.height * MARGIN);
  refresh();
}
function refresh() { drawn.stale = true; redraw(); }
function redraw() { if (!asked) asked = requestAnimationFrame(paint); }

function paint() {
  asked = 0;
  const size = scale(), zoom = size / drawn.scale;
  const dx = (drawn.x - look.x) * size, dy = (drawn.y - look.y) * size;
  const far = Math.abs(dx) > wide * MARGIN || Math.abs(dy) > high * MARGIN || zoom < 0.6 || zoom > 1.7;
  if (drawn.stale || far) return render();
  if (zoom !== 1) { clearTimeout(later); later = setTimeout(refresh, 90); }
  copy(zoom, dx, dy);
}
function copy(zoom, dx, dy) {
  front.setTransform(1, 0, 0, 1, 0, 0);
  front.clearRect(0, 0, canvas.width, canvas.height);
  const w = back.width * zoom, h = back.height * zoom; // whole pixels: a picture between them is a blurred one
  front.drawImage(back, Math.round((canvas.width - w) / 2 + dx * dots), Math.round((canvas.height - h) / 2 + dy * dots), w, h);
  front.setTransform(dots, 0, 0, dots, 0, 0);
  highlight();
}
function render() {
  Object.assign(drawn, { x: look.x, y: look.y, scale: scale(), stale: false });
  behind.setTransform(1, 0, 0, 1, 0, 0);
  behind.clearRect(0, 0, back.width, back.height);
  if (state.links) drawLinks();
  behind.setTransform(dots, 0, 0, dots, (back.width - canvas.width) / 2, (back.height - canvas.height) / 2);
  if (state.paths) drawCalls();
  drawNodes();
  copy(1, 0, 0);
}

// Links as a density: thousands of thin lines, each pixel by how much of them crosses it (after Wu's lines).
let density = new Float32Array(0);
function drawLinks() {
  const w = back.width, h = back.height, size = scale() * dots, ox = w / 2 - look.x * size, oy = h / 2 - look.y * size;
  if (density.length !== w * h) density = new Float32Array(w * h); else density.fill(0);
  const place = data.place, link = data.link, near = size / FULL;
  let shown = 0;
  for (let i = 0; i < link.length; i += 2) {
    const a = link[i], b = link[i + 1];
    if (!isUp(state.step, a) || !isUp(state.step, b)) continue;
    line(density, w, h, ox + place[2 * a] * near, oy + place[2 * a + 1] * near, ox + place[2 * b] * near, oy + place[2 * b + 1] * near);
    shown++;
  }
  const one = Math.min(0.34, 7 / Math.sqrt(shown + 1)) / Math.sqrt(Math.max(1, words.nodes / 200)), fade = Math.log(1 - one);
  const image = behind.createImageData(w, h), pixels = new Uint32Array(image.data.buffer), [r, g, b] = rgb(dark.matches ? "#9db9d8" : "#3d536b");
  const base = (b << 16) | (g << 8) | r;
  for (let i = 0; i < density.length; i++) if (density[i] > 0) pixels[i] = (Math.min(150, 255 * (1 - Math.exp(density[i] * fade))) << 24) | base;
  behind.putImageData(image, 0, 0);
}
function line(out, w, h, x0, y0, x1, y1) {
  let dx = x1 - x0, dy = y1 - y0;
  const steep = Math.abs(dy) > Math.abs(dx);
  if (steep) { let t = x0; x0 = y0; y0 = t; t = x1; x1 = y1; y1 = t; t = dx; dx = dy; dy = t; }
  if (dx < 0) { let t = x0; x0 = x1; x1 = t; t = y0; y0 = y1; y1 = t; dx = -dx; dy = -dy; }
  const along = steep ? h : w, across = steep ? w : h, slope = dx ? dy / dx : 0, weight = Math.sqrt(1 + slope * slope);
  const from = Math.max(0, Math.ceil(x0)), to = Math.min(along - 1, Math.floor(x1)), stride = steep ? w : 1, side = steep ? 1 : w;
  let y = y0 + slope * (from - x0);
  for (let x = from; x <= to; x++, y += slope) {
    const low = Math.floor(y);
    if (low < 0 || low >= across - 1) continue;
    const part = (y - low) * weight, spot = x * stride + low * side;
    out[spot] += weight - part; out[spot + side] += part;
  }
}

function drawCalls() {
  const many = new Map(); // how many calls each hop carries now
  for (const leg of legsAt(words.times_seconds[state.step])) {
    const path = pathOfLeg(leg);
    for (let k = 1; k < path.length; k++) {
      const key = Math.min(path[k - 1], path[k]) * words.nodes + Math.max(path[k - 1], path[k]);
      many.set(key, (many.get(key) || 0) + 1);
    }
  }
  behind.strokeStyle = INKS[mode()].call;
  behind.lineCap = "round";
  behind.globalAlpha = Math.min(0.75, Math.max(0.3, 4 / Math.sqrt(many.size + 1)));
  for (const [key, count] of many) {
    const a = Math.floor(key / words.nodes), b = key % words.nodes;
    behind.lineWidth = Math.min(6, 0.7 + 0.6 * Math.sqrt(count));
    behind.beginPath(); behind.moveTo(px(a), py(a)); behind.lineTo(px(b), py(b)); behind.stroke();
  }
  behind.globalAlpha = 1;
}
function drawNodes() {
  const groups = new Map(), inks = INKS[mode()], away = wide * MARGIN + 10, below = high * MARGIN + 10;
  for (let node = 0; node < words.nodes; node++) {
    const x = px(node), y = py(node);
    if (x < -away || y < -below || x > wide + away || y > high + below) continue;
    const up = isUp(state.step, node), key = (up ? "1" : "0") + data.role[node] + (up ? colourOf(node) : inks.muted);
    if (!groups.has(key)) groups.set(key, new Path2D());
    const r = grown(node);
    groups.get(key).moveTo(x + r, y); groups.get(key).arc(x, y, r, 0, 7);
  }
  for (const [key, path] of [...groups].sort()) {
    behind.fillStyle = key[0] === "1" ? key.slice(2) : inks.halo;
    behind.strokeStyle = key[0] === "1" ? inks.halo : inks.muted;
    behind.lineWidth = key[0] === "1" ? 1 : 1.4;
    behind.fill(path); behind.stroke(path);
  }
}

// What is chosen or pointed at, over everything.
function highlight() {
  if (state.call >= 0) drawCall(state.call);
  else if (state.node >= 0) drawNeighbours(state.node);
  if (state.node >= 0) ring(state.node, 3);
  if (state.hover >= 0 && state.hover !== state.node) ring(state.hover, 1.6);
}
function ring(node, width) {
  const inks = INKS[mode()], r = grown(node) + 4;
  for (const [colour, w] of [[inks.halo, width + 2.5], [inks.ink, width]]) {
    front.strokeStyle = colour; front.lineWidth = w;
    front.beginPath(); front.arc(px(node), py(node), r, 0, 7); front.stroke();
  }
}
function dot(node) {
  front.fillStyle = colourOf(node); front.strokeStyle = INKS[mode()].ink; front.lineWidth = 1.4;
  front.beginPath(); front.arc(px(node), py(node), grown(node) + 1, 0, 7); front.fill(); front.stroke();
}
function label(node) {
  const inks = INKS[mode()], x = px(node) + grown(node) + 6, y = py(node) + 4;
  front.font = "600 12px system-ui, sans-serif"; front.lineJoin = "round";
  front.strokeStyle = inks.halo; front.lineWidth = 4; front.strokeText(words.name_of[node], x, y);
  front.fillStyle = inks.ink; front.fillText(words.name_of[node], x, y);
}
function polyline(path, bow) {
  front.beginPath();
  front.moveTo(px(path[0]), py(path[0]));
  for (let k = 1; k < path.length; k++) {
    const ax = px(path[k - 1]), ay = py(path[k - 1]), bx = px(path[k]), by = py(path[k]);
    front.quadraticCurveTo((ax + bx) / 2 - (by - ay) * bow, (ay + by) / 2 + (bx - ax) * bow, bx, by);
  }
  front.stroke();
}
function veil() { front.fillStyle = "rgba(" + INKS[mode()].paper.join(",") + ",.72)"; front.fillRect(0, 0, wide, high); }
function drawNeighbours(node) {
  const mine = neighbours(node);
  front.strokeStyle = INKS[mode()].call; front.lineWidth = 1.1; front.globalAlpha = 0.7;
  front.beginPath();
  for (const other of mine) { front.moveTo(px(node), py(node)); front.lineTo(px(other), py(other)); }
  front.stroke(); front.globalAlpha = 1;
  mine.forEach(dot); dot(node); label(node);
}
function drawCall(call) {
  veil();
  const options = (optionsOf.get(call) || []).map((o, k) => [pathOfOption(o), OPTIONS[k % OPTIONS.length], k, data.option_chosen[o]]);
  front.lineCap = "round"; front.setLineDash([5, 5]); front.lineWidth = 1.8;
  for (const [path, colour, k, taken] of options.slice().reverse()) if (!taken) { front.strokeStyle = colour; polyline(path, 0.03 * k); }
  front.setLineDash([]);
  const legs = (legsOf.get(call) || []).map(pathOfLeg);
  legs.forEach((path, k) => {
    const last = k === legs.length - 1;
    for (const [colour, width] of [[INKS[mode()].halo, 7.5], [last ? INKS[mode()].call : "#d9822b", 4]]) { front.strokeStyle = colour; front.lineWidth = width; polyline(path, last ? 0 : 0.06); }
  });
  const nodes = new Set([...options.flatMap(([path]) => [...path]), ...legs.flatMap((path) => [...path]), data.caller[call], data.callee[call]].filter((n) => n >= 0));
  nodes.forEach(dot); nodes.forEach(label);
}
function neighbours(node) {
  const out = [], link = data.link;
  for (let i = 0; i < link.length; i += 2) if (link[i] === node) out.push(link[i + 1]); else if (link[i + 1] === node) out.push(link[i]);
  return out;
}
function nearest(x, y) {
  let best = -1, least = 14 * 14;
  for (let node = 0; node < words.nodes; node++) {
    const dx = px(node) - x, dy = py(node) - y, d = dx * dx + dy * dy - grown(node) * 2;
    if (d < least) { least = d; best = node; }
  }
  return best;
}

function zoomAt(factor, x = wide / 2, y = high / 2) {
  const before = scale();
  look.zoom = Math.min(60, Math.max(0.5, look.zoom * factor));
  const after = scale();
  look.x += (x - wide / 2) * (1 / before - 1 / after);
  look.y += (y - high / 2) * (1 / before - 1 / after);
  redraw();
}
function moveBy(dx, dy) { look.x -= dx / scale(); look.y -= dy / scale(); redraw(); }
function showAll() { Object.assign(look, { x: extent[0] / 2, y: extent[1] / 2, zoom: 1 }); refresh(); }
function showNodes(nodes) {
  const xs = nodes.map((n) => data.place[2 * n] / FULL), ys = nodes.map((n) => data.place[2 * n + 1] / FULL);
  const w = Math.max(...xs) - Math.min(...xs), h = Math.max(...ys) - Math.min(...ys);
  look.zoom = 1; look.x = (Math.max(...xs) + Math.min(...xs)) / 2; look.y = (Math.max(...ys) + Math.min(...ys)) / 2;
  look.zoom = Math.min(nodes.length > 1 ? 12 : 4, Math.max(1, 0.7 * Math.min(wide / (w * scale() + 1), high / (h * scale() + 1))));
  refresh();
}
