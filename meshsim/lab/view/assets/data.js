// The data of the page: words are JSON, numbers one compressed block of arrays.
const KINDS = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, int64: BigInt64Array, float32: Float32Array };
const NONE = 255, FULL = 65535;
const words = JSON.parse(document.getElementById("words").textContent);
const data = {};

async function unpack(text, table) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const whole = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const out = {};
  for (const [name, [kind, begin, size]] of Object.entries(table)) out[name] = new KINDS[kind](whole, begin, size);
  return out;
}

const row = (array, start, i) => array.subarray(start[i], start[i + 1]);
const has = (x) => x !== null && Number.isFinite(x);
const fixed = (x, digits, unit = "") => (has(x) ? x.toFixed(digits) + unit : "–");
const at = (series, step, node) => { const v = data[series][step * words.nodes + node]; return v === NONE ? null : v / 2; };
const isUp = (step, node) => data.up[step * words.nodes + node] === 1;

function clock(seconds) {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  return (s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ":" + two(s % 60);
}

// Legs of calls (who led which call over what, from when to when), and what each call could have had.
const legsOf = new Map(), optionsOf = new Map();
function index() {
  legsOf.clear(); optionsOf.clear();
  data.leg_call.forEach((call, i) => { if (!legsOf.has(call)) legsOf.set(call, []); legsOf.get(call).push(i); });
  data.option_call.forEach((call, i) => { if (!optionsOf.has(call)) optionsOf.set(call, []); optionsOf.get(call).push(i); });
}
function legsAt(seconds) {
  const out = [];
  for (let i = 0; i < data.leg_call.length; i++) if (data.leg_begin[i] <= seconds && seconds < data.leg_end[i]) out.push(i);
  return out;
}
const pathOfLeg = (i) => row(data.leg_path, data.leg_path_start, i);
const pathOfOption = (i) => row(data.option_path, data.option_path_start, i);
const nodeName = (i) => (i < 0 ? "nobody" : words.name_of[i]);
const trail = (path) => Array.from(path, nodeName).join(" → ");
