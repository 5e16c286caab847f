// Words beside the picture: what is chosen, what is running, the legend, and the table for those who do not see it.
const panel = document.getElementById("panel"), tip = document.getElementById("tip"), legend = document.getElementById("legend");
const COLOURS = { reputation: "reputation", load: "load", score: "score of the last choice", role: "role", conduct: "conduct (truth)" };

function make(tag, text, parts = {}) {
  const { children = [], ...rest } = parts, element = document.createElement(tag);
  if (text !== null && text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(rest)) if (name.startsWith("on")) element[name] = value; else element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const facts = (pairs) => make("dl", null, { children: pairs.flatMap(([name, value]) => [make("dt", name), value instanceof Node ? make("dd", null, { children: [value] }) : make("dd", value)]) });
const link = (text, onclick) => make("button", text, { class: "link", type: "button", onclick });
const rest = (series, node) => { const v = at(series, state.step, node); return v === null ? "none yet" : fixed(v, series === "load" ? 0 : 1, series === "load" ? " %" : ""); };

function showPanel() {
  const top = panel.scrollTop, parts = state.call >= 0 ? callPanel(state.call) : state.node >= 0 ? nodePanel(state.node) : runPanel();
  panel.replaceChildren(...parts);
  panel.scrollTop = top;
}
function callList(title, rows) {
  if (!rows.length) return [make("h3", title), make("p", "none")];
  return [make("h3", title), make("ul", null, { children: rows.map((i) => make("li", null, { children: [make("button", null, { type: "button", onclick: () => chooseCall(i),
    children: [make("b", nodeName(data.caller[i]) + " → " + nodeName(data.callee[i]), { style: "font-weight:500" }), make("span", "#" + data.call[i])] })] })) })];
}
function runPanel() {
  const now = words.times_seconds[state.step], running = legsAt(now).map((leg) => data.leg_call[leg]);
  let up = 0, bad = 0;
  for (let n = 0; n < words.nodes; n++) { up += isUp(state.step, n); bad += words.conduct_of[n] !== "honest"; }
  const thinned = words.calls > data.call.length ? [make("p", `Of ${words.calls.toLocaleString("en")} calls, ${data.call.length.toLocaleString("en")} can be picked, evenly spread; numbers and loads count all.`)] : [];
  return [make("h2", words.name), make("p", words.description),
    facts([["policy", words.policy || "–"], ["seed", String(words.seed ?? "–")], ["nodes", `${words.nodes.toLocaleString("en")}, ${up.toLocaleString("en")} up now`], ["links", (data.link.length / 2).toLocaleString("en") + " pairs of nodes"],
      ["calls", words.calls.toLocaleString("en") + `, ${data.running[state.step].toLocaleString("en")} now`], ["misbehave", `${bad} nodes`]]), ...thinned,
    ...callList("Calls running now", running.slice(0, 14)), ...(running.length > 14 ? [make("p", `and ${running.length - 14} more`)] : [])];
}
function spark(series, node) {
  const T = words.times_seconds.length, points = [];
  for (let t = 0; t < T; t++) { const v = at(series, t, node); points.push(v === null ? null : [(300 * t) / Math.max(1, T - 1), 46 - 42 * Math.min(1, v / 100)]); }
  let d = "", pen = "M";
  for (const p of points) { if (p) { d += pen + p[0].toFixed(1) + " " + p[1].toFixed(1); pen = "L"; } else pen = "M"; }
  const x = (300 * state.step) / Math.max(1, T - 1), svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark"); svg.setAttribute("viewBox", "0 0 300 50"); svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img"); svg.setAttribute("aria-label", `${COLOURS[series]} of ${nodeName(node)} over time`);
  for (const [path, colour, width] of [[`M${x} 0V50`, "var(--muted)", 1], [d || "M0 0", "var(--accent)", 1.8]]) {
    const one = document.createElementNS(SVG, "path");
    one.setAttribute("d", path); one.setAttribute("fill", "none"); one.setAttribute("stroke", colour); one.setAttribute("stroke-width", width); one.setAttribute("vector-effect", "non-scaling-stroke");
    svg.append(one);
  }
  return svg;
}
function nodePanel(node) {
  const calls = [];
  for (let c = 0; c < data.call.length && calls.length < 200; c++)
    if (data.caller[c] === node || data.callee[c] === node || (legsOf.get(c) || []).some((leg) => pathOfLeg(leg).includes(node))) calls.push(c);
  const now = words.times_seconds[state.step], near = calls.filter((c) => data.call_end[c] >= now).slice(0, 8);
  const honest = words.conduct_of[node] === "honest";
  return [make("h2", words.name_of[node]), make("p", words.aura_of[node] + (words.domain_of[node] ? ":" + words.domain_of[node] : "")),
    facts([["role", words.roles[data.role[node]]], ["NAT", words.nat_of[node]], ["now", isUp(state.step, node) ? "up" : "down"], ["reputation", rest("reputation", node)], ["load", data.role[node] ? rest("load", node) : "carries nothing"],
      ["score", rest("score", node)], ["linked to", neighbours(node).length + " nodes"], ["conduct", make("span", words.conduct_of[node] + " (truth)", { class: honest ? "" : "bad" })]]),
    make("h3", "Reputation, 0 to 100"), spark("reputation", node), make("h3", "Load, 0 to 100 %"), spark("load", node),
    ...callList("Its calls from now on", near), make("p", null, { children: [link("Let go of the node", () => chooseNode(-1))] })];
}
function callPanel(c) {
  const options = optionsOf.get(c) || [], legs = legsOf.get(c) || [], ok = words.outcome[c] === "completed" || words.outcome[c] === "running";
  const rows = options.map((o, k) => make("tr", null, { class: data.option_chosen[o] ? "taken" : words.refusals[data.option_refusal[o]] ? "refused" : "", children: [
    make("td", null, { children: [make("i", null, { style: "background:" + OPTIONS[k % OPTIONS.length] }), pathOfOption(o).length === 2 ? "direct" : "via " + Array.from(pathOfOption(o).slice(1, -1), nodeName).join(", ")] }),
    make("td", fixed(data.option_rtt_seconds[o] * 1000, 0)), make("td", fixed(100 * data.option_loss[o], 1)), make("td", fixed(data.option_mos[o], 2)) ] }));
  return [make("h2", `Call ${data.call[c]}: ${nodeName(data.caller[c])} → ${nodeName(data.callee[c])}`), make("p", words.media[c].replace("_", " and ")),
    facts([["from", clock(data.call_begin[c]) + " to " + clock(data.call_end[c])], ["outcome", make("span", words.outcome[c] + (words.reason[c] ? ": " + words.reason[c] : ""), { class: ok ? "good" : "bad" })],
      ["MOS", fixed(data.call_mos[c], 2)], ["round trip", fixed(data.call_rtt_seconds[c] * 1000, 0, " ms")], ["loss", fixed(100 * data.call_loss[c], 2, " %")], ["score", has(data.call_ai_score[c]) ? fixed(data.call_ai_score[c], 0) + ", confidence " + fixed(data.call_confidence[c], 2) : "none claimed"],
      ["route", legs.length ? trail(pathOfLeg(legs[legs.length - 1])) : "none"], ...(legs.length > 1 ? [["at first", trail(pathOfLeg(legs[0]))]] : [])]),
    ...(rows.length ? [make("h3", "What it could have had, as it truly was"), make("table", null, { children: [make("thead", null, { children: [make("tr", null, { children: ["path", "RTT, ms", "loss, %", "MOS"].map((t) => make("th", t, { scope: "col" })) })] }), make("tbody", null, { children: rows })] }), make("p", "Bold was taken, grey was refused.")] : [make("p", "This run wrote no candidates down (record.candidates).")]),
    make("p", null, { children: [link("Let go of the call", () => chooseCall(-1))] })];
}

function showTip(x, y) {
  tip.hidden = state.hover < 0;
  if (tip.hidden) return;
  const n = state.hover;
  tip.replaceChildren(make("b", words.name_of[n]), make("span", `${words.aura_of[n]} · ${words.roles[data.role[n]]}${isUp(state.step, n) ? "" : " · down"}`), make("br"),
    make("span", `reputation ${rest("reputation", n)} · load ${data.role[n] ? rest("load", n) : "–"}`));
  tip.style.left = Math.max(4, Math.min(x + 14, wide - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, high - tip.offsetHeight - 8)) + "px";
}
function showLegend() {
  const swatch = (colour, text) => make("li", null, { children: [make("i", null, { style: `background:${colour}` }), text] });
  const lines = [make("li", null, { children: [make("i", null, { class: "ring" }), "down"] }), ...(state.paths ? [make("li", null, { children: [make("i", null, { class: "line", style: `border-color:${INKS[mode()].call}` }), "calls now"] })] : [])];
  const parts = [make("b", "Nodes by " + COLOURS[state.colour])];
  if (state.colour in RAMPS) {
    const unit = state.colour === "load" ? ["idle", "full"] : ["0", "100"];
    parts.push(make("div", null, { class: "bar", style: `background:linear-gradient(90deg,${RAMPS[state.colour][mode()].join(",")})` }), make("div", null, { class: "ends", children: unit.map((t) => make("span", t)) }));
    lines.unshift(swatch(INKS[mode()].none, { reputation: "no evidence yet", load: "carries nothing", score: "no score" }[state.colour]));
  } else if (state.colour === "role") lines.unshift(...words.roles.map((name, i) => swatch(ROLES[mode()][i], name)));
  else lines.unshift(...conducts.map((name, i) => swatch(CONDUCTS[mode()][i % 6], name)));
  legend.replaceChildren(...parts, make("ul", null, { children: lines }));
}
const table = document.getElementById("table");
function showTable() {
  if (!table.open) return;
  const head = ["node", "identity", "role", "up", "reputation", "load", "score", "conduct (truth)"];
  const rows = Array.from({ length: words.nodes }, (_, n) => make("tr", null, { children: [words.name_of[n], words.aura_of[n], words.roles[data.role[n]], isUp(state.step, n) ? "yes" : "no", rest("reputation", n), data.role[n] ? rest("load", n) : "–", rest("score", n), words.conduct_of[n]].map((t) => make("td", t)) }));
  table.lastElementChild.replaceChildren(make("table", null, { children: [make("caption", "All nodes at " + clock(words.times_seconds[state.step])), make("thead", null, { children: [make("tr", null, { children: head.map((t) => make("th", t, { scope: "col" })) })] }), make("tbody", null, { children: rows })] }));
}
