// What the reader does: time, choosing, moving, keys; and, of a running simulation, news.
const SVG = "http://www.w3.org/2000/svg";
const get = (id) => document.getElementById(id);
const slider = get("slider"), play = get("play"), search = get("search"), said = get("said"), curve = get("curve"), pick = get("colour");
const FRAME = 110; // milliseconds a step of time lasts while it plays
let playing = 0;

function say(text) { said.textContent = text; }
function seek(step) {
  state.step = Math.max(0, Math.min(words.times_seconds.length - 1, step));
  slider.value = state.step;
  const now = words.times_seconds[state.step], text = `${clock(now)} of ${clock(words.times_seconds.at(-1))}, ${data.running[state.step]} calls`;
  slider.setAttribute("aria-valuetext", text);
  get("clock").replaceChildren(make("b", clock(now)), ` of ${clock(words.times_seconds.at(-1))} · ${data.running[state.step].toLocaleString("en")} calls`);
  showPanel(); showTable(); showCurve(); refresh();
}
function showCurve() {
  const T = data.running.length, most = Math.max(1, ...data.running), x = (t) => ((1000 * t) / Math.max(1, T - 1)).toFixed(1);
  const points = Array.from(data.running, (v, t) => `${x(t)} ${(30 - (27 * v) / most).toFixed(1)}`).join("L");
  curve.setAttribute("viewBox", "0 0 1000 30");
  const path = (d, style) => { const one = document.createElementNS(SVG, "path"); one.setAttribute("d", d); one.setAttribute("style", style); one.setAttribute("vector-effect", "non-scaling-stroke"); return one; };
  curve.replaceChildren(path(`M0 30L${points}L1000 30Z`, "fill:var(--accent);opacity:.18"), path(`M${x(state.step)} 0V30`, "stroke:var(--accent);stroke-width:2"));
}
function setPlaying(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => (state.step + 1 < words.times_seconds.length ? seek(state.step + 1) : setPlaying(false)), FRAME) : 0;
  play.textContent = on ? "❚❚" : "▶";
  play.setAttribute("aria-pressed", String(on));
  play.setAttribute("aria-label", on ? "Pause" : "Play");
  if (!on) say(slider.getAttribute("aria-valuetext"));
}
function startPlaying() {
  if (!playing && state.step + 1 >= words.times_seconds.length) seek(0);
  setPlaying(!playing);
}

function chooseNode(node, centre = false) {
  Object.assign(state, { node, call: -1 });
  if (node >= 0) {
    if (centre) showNodes([node]);
    say(`${words.name_of[node]}, ${words.roles[data.role[node]]}, ${isUp(state.step, node) ? "up" : "down"}, reputation ${rest("reputation", node)}, load ${rest("load", node)}`);
  }
  showPanel(); refresh();
}
function chooseCall(call) {
  Object.assign(state, { call, node: -1 });
  if (call >= 0) {
    const now = words.times_seconds[state.step];
    if (now < data.call_begin[call] || now >= data.call_end[call]) seek(words.times_seconds.findIndex((t) => t >= data.call_begin[call]));
    const nodes = new Set([data.caller[call], data.callee[call], ...(legsOf.get(call) || []).flatMap((leg) => [...pathOfLeg(leg)]), ...(optionsOf.get(call) || []).flatMap((o) => [...pathOfOption(o)])].filter((n) => n >= 0));
    showNodes([...nodes]);
    say(`Call ${data.call[call]} from ${nodeName(data.caller[call])} to ${nodeName(data.callee[call])}, ${words.outcome[call]}`);
  }
  showPanel(); refresh();
}
function find(text) {
  const wish = text.trim().toLowerCase();
  if (!wish) return;
  const number = /^#?(\d+)$/.exec(wish), call = number ? data.call.indexOf(Number(number[1])) : -1;
  if (call >= 0) return chooseCall(call);
  const all = Array.from({ length: words.nodes }, (_, i) => i), names = (i) => [words.name_of[i].toLowerCase(), words.aura_of[i].toLowerCase()];
  const node = all.find((i) => names(i).includes(wish)) ?? all.find((i) => names(i).some((n) => n.startsWith(wish))) ?? all.find((i) => names(i).some((n) => n.includes(wish)));
  if (node === undefined) return say(number ? `There is no call ${number[1]} here` : `Nobody is called ${text}`);
  chooseNode(node, true);
}

// Pointers: one moves the map, two zoom it, a click chooses.
const held = new Map();
let travelled = 0;
const spot = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); held.set(event.pointerId, spot(event)); travelled = 0; canvas.classList.add("held"); });
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = spot(event), before = held.get(event.pointerId);
  if (!before) { const hover = nearest(x, y); if (hover !== state.hover) { state.hover = hover; redraw(); } return showTip(x, y); }
  if (held.size === 1) moveBy(x - before[0], y - before[1]);
  else {
    const other = [...held].find(([id]) => id !== event.pointerId)[1], far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
    zoomAt(far([x, y]) / Math.max(10, far(before)), other[0], other[1]);
  }
  travelled += Math.abs(x - before[0]) + Math.abs(y - before[1]);
  held.set(event.pointerId, [x, y]);
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  const was = held.delete(event.pointerId), [x, y] = spot(event);
  if (!held.size) canvas.classList.remove("held");
  if (was && name === "pointerup" && travelled < 5) chooseNode(nearest(x, y));
});
canvas.addEventListener("pointerleave", () => { state.hover = -1; tip.hidden = true; redraw(); });
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...spot(event)); }, { passive: false });
canvas.addEventListener("dblclick", (event) => zoomAt(2, ...spot(event)));

const step = (way) => () => { setPlaying(false); seek(state.step + way); };
const turn = (way) => () => chooseNode((state.node + way + words.nodes + (state.node < 0 && way < 0 ? 1 : 0)) % words.nodes);
const KEYS = { "+": () => zoomAt(1.3), "=": () => zoomAt(1.3), "-": () => zoomAt(1 / 1.3), 0: showAll, " ": startPlaying, ",": step(-1), ".": step(1),
  n: turn(1), p: turn(-1), ArrowLeft: () => moveBy(60, 0), ArrowRight: () => moveBy(-60, 0), ArrowUp: () => moveBy(0, 60), ArrowDown: () => moveBy(0, -60),
  Escape: () => chooseNode(-1), "/": () => search.focus() };
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input[type=search], select"), ours = event.target === canvas || event.target === document.body;
  if (event.key === "Escape" && typing) return canvas.focus();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (!ours && (event.key.startsWith("Arrow") || event.key === " ")) return; // sliders, buttons and lists have their own
  event.preventDefault();
  KEYS[event.key]();
});
slider.addEventListener("input", () => { setPlaying(false); seek(Number(slider.value)); });
play.addEventListener("click", startPlaying);
pick.addEventListener("change", () => { state.colour = pick.value; showLegend(); refresh(); say("Nodes coloured by " + COLOURS[state.colour]); });
for (const name of ["links", "paths"]) get(name).addEventListener("change", (event) => { state[name] = event.target.checked; showLegend(); refresh(); });
get("in").addEventListener("click", () => zoomAt(1.5)); get("out").addEventListener("click", () => zoomAt(1 / 1.5)); get("fit").addEventListener("click", showAll);
get("find").addEventListener("submit", (event) => { event.preventDefault(); find(search.value); });
search.addEventListener("change", () => find(search.value));
table.addEventListener("toggle", showTable);
dark.addEventListener("change", () => { showLegend(); refresh(); });

function meet() { // everything that depends on which nodes and calls there are
  for (let n = 0; n < words.nodes; n++) for (const k of [0, 1]) extent[k] = n ? Math.max(extent[k], data.place[2 * n + k] / FULL) : data.place[k] / FULL;
  extent = extent.map((side) => Math.max(side, 0.02));
  const bad = [...new Set(words.conduct_of)].filter((name) => name !== "honest").sort();
  conducts = ["honest", ...bad];
  get("names").replaceChildren(...words.aura_of.map((aura, n) => make("option", words.name_of[n], { value: aura })));
  slider.max = words.times_seconds.length - 1;
  index();
}
async function start() {
  Object.assign(data, await unpack(get("numbers").textContent, words.arrays));
  get("numbers").remove();
  get("title").textContent = words.name;
  get("lead").textContent = `${words.description || "a trace"} · policy ${words.policy} · seed ${words.seed}`;
  const told = Object.keys(COLOURS).filter((name) => name !== "score" || words.live || data.score.some((v) => v !== NONE));
  pick.append(...told.map((name) => make("option", COLOURS[name], { value: name })));
  meet();
  canvas.setAttribute("aria-label", `The network ${words.name}: ${words.nodes} nodes and ${data.link.length / 2} linked pairs; the table below says the same in words`);
  new ResizeObserver(resize).observe(stage);
  resize(); showAll(); showLegend();
  seek(words.live ? words.times_seconds.length - 1 : Math.floor(words.times_seconds.findIndex((t) => t >= words.warmup_seconds) / 2 + words.times_seconds.length / 2));
  if (words.live) listen(); // in live.js, which only such pages hold
  requestAnimationFrame(() => requestAnimationFrame(() => { document.body.dataset.ready = "yes"; }));
}
