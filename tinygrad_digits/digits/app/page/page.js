// The drawing is a list of strokes, each a list of points [x, y] in 0 ... 1. It is painted on the
// pad, and sent as a small grid; what comes back is shown as numbers, bars and two pictures.

const BRUSH = 0.08;          // of the pad's width
const GRID = 64;             // rows and columns that are sent
const PEN = 0.1;             // of the drawing's size; the server thickens or thins it as needed
const SMALLEST = 0.1;        // of the pad: a dot is not blown up any further
const STEPS = 16;            // that the keyboard's cursor takes from edge to edge
const INTERVAL = 50;         // milliseconds between two requests, at least
const SETTLED = 400;         // milliseconds without a change until the reading is read aloud
const AGAIN = 1000;          // milliseconds until a server that is gone is asked for again
const POINTS = 1500;         // of a drawing that is kept, at most

const $ = (id) => document.getElementById(id);
const pad = $("pad");

// ---- the drawing and how it changes ----

let strokes = [];
let version = 0;             // counts changes, so that a late answer is known for what it is
let pointer = null;          // the id of the one pointer that draws
let cursor = null;           // the keyboard's [column, row], once it is used
let penDown = false;

function changed() {
  version += 1;
  const drawn = strokes.length > 0;
  document.body.classList.toggle("drawn", drawn);
  $("undo").disabled = $("clear").disabled = !drawn;
  paint();
  kept = null;
  $("kept").textContent = "";
  $("forget").hidden = true;
  $("correction").disabled = $("show-tape").disabled = true;  // until this drawing is read
  drawn ? askSoon() : showNothing();
}

function undo() {
  penDown = false;
  if (strokes.pop()) changed();
}

function clear() {
  penDown = false;
  if (!strokes.length) return;
  strokes = [];
  changed();
}

// ---- pointers: mouse, finger, pen ----

function place(event) {
  const box = pad.getBoundingClientRect();
  const inside = (value) => Math.min(1, Math.max(0, value));
  return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
}

pad.addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button !== 0) return;
  pointer = event.pointerId;
  pad.setPointerCapture(pointer);
  cursor = null;
  penDown = false;
  strokes.push([place(event)]);
  changed();
});

pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer || !strokes.length) return;
  const events = event.getCoalescedEvents?.() ?? [];
  strokes.at(-1).push(...(events.length ? events : [event]).map(place));
  changed();
});

for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId === pointer) pointer = null;
  });
}

// ---- keys ----

const MOVES = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  Home: [-1, -1], PageUp: [1, -1], End: [-1, 1], PageDown: [1, 1],
};

function move([dx, dy]) {
  const inside = (value) => Math.min(STEPS, Math.max(0, value));
  const [column, row] = cursor ?? [STEPS / 2, STEPS / 2];
  cursor = [inside(column + dx), inside(row + dy)];
  if (penDown) strokes.at(-1).push(cursor.map((step) => step / STEPS));
  $("pen").textContent = `${penDown ? "drawing, " : ""}column ${cursor[0]}, row ${cursor[1]} of ${STEPS}`;
  penDown ? changed() : paint();
}

function togglePen() {
  cursor ??= [STEPS / 2, STEPS / 2];
  penDown = !penDown;
  if (penDown) strokes.push([cursor.map((step) => step / STEPS)]);
  $("pen").textContent = penDown ? "pen down" : "pen up";
  penDown ? changed() : paint();
}

pad.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || pointer !== null) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key in MOVES) move(MOVES[key]);
  else if (key === " ") event.repeat || togglePen();
  else if (key === "u" || key === "Backspace") undo();
  else if (key === "c") clear();
  else return;
  event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (pointer !== null) return;
  if (event.key === "Escape") clear();
  else if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") undo();
});

$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", () => {
  clear();
  pad.focus({ preventScroll: true });  // the button is disabled now, and would lose the focus
});
pad.addEventListener("focus", () => {
  if (pad.matches(":focus-visible")) cursor ??= [STEPS / 2, STEPS / 2];  // reached by the keyboard
  paint();
});
pad.addEventListener("blur", paint);

// ---- painting ----

function color(name, alpha = 1) {
  return `rgb(${getComputedStyle(document.documentElement).getPropertyValue(name)} / ${alpha})`;
}

function trace(context, stroke, [left, top], scale, width) {
  const points = stroke.map(([x, y]) => [(x - left) * scale, (y - top) * scale]);
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points) context.lineTo(...point);  // also to the first: a dot is a line, too
  context.stroke();
}

function paint() {
  const side = Math.round(pad.clientWidth * devicePixelRatio);
  if (pad.width !== side) pad.width = pad.height = side;
  const context = pad.getContext("2d");
  context.clearRect(0, 0, side, side);
  context.strokeStyle = color("--ink");
  for (const stroke of strokes) trace(context, stroke, [0, 0], side, BRUSH * side);
  if (cursor === null || document.activeElement !== pad) return;
  context.beginPath();
  context.arc(...cursor.map((step) => (step / STEPS) * side), (BRUSH * side) / 2, 0, 2 * Math.PI);
  context.lineWidth = 3 * devicePixelRatio;
  context.strokeStyle = color("--accent");
  context.fillStyle = color("--accent", 0.35);
  if (penDown) context.fill();
  context.stroke();
}

new ResizeObserver(paint).observe(pad);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  paint();
  if (shown) showPictures(shown);
});

// ---- reading ----

const small = Object.assign(document.createElement("canvas"), { width: GRID, height: GRID });
const smallContext = small.getContext("2d", { willReadFrequently: true });

// The strokes blown up to fill the grid, with a pen in proportion to them: a small digit is not
// blotted, nor a large one thin. Rows of 0 (paper) ... 255 (ink).
function grid() {
  const points = strokes.flat();
  const low = [0, 1].map((axis) => points.reduce((least, point) => Math.min(least, point[axis]), 1));
  const high = [0, 1].map((axis) => points.reduce((most, point) => Math.max(most, point[axis]), 0));
  const size = Math.max(high[0] - low[0], high[1] - low[1], SMALLEST);
  const width = PEN * GRID;
  const scale = (GRID - width - 2) / size;
  const corner = [0, 1].map((axis) => (low[axis] + high[axis] - GRID / scale) / 2);
  smallContext.fillStyle = "black";
  smallContext.fillRect(0, 0, GRID, GRID);
  smallContext.strokeStyle = "white";
  for (const stroke of strokes) trace(smallContext, stroke, corner, scale, width);
  const { data } = smallContext.getImageData(0, 0, GRID, GRID);
  return Array.from({ length: GRID }, (_, row) =>
    Array.from({ length: GRID }, (_, column) => data[4 * (row * GRID + column)]));
}

let timer = null;
let asking = false;

function askSoon(wait = INTERVAL) {
  timer ??= setTimeout(ask, wait);
}

// The answer to a question about a drawing; an Error says why there is none, a TypeError that the
// server is gone.
async function send(method, path, content) {
  const body = content && JSON.stringify(content);
  const response = await fetch(path, { method, headers: { "Content-Type": "application/json" }, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// One question at a time, and always about the newest drawing.
async function ask() {
  timer = null;
  if (asking || !strokes.length) return;
  asking = true;
  const asked = version;
  let wait = INTERVAL;
  try {
    const answer = await send("POST", "/read", { pixels: grid() });
    if (strokes.length) show(answer);
    if (asked === version) $("correction").disabled = $("show-tape").disabled = false;
  } catch (error) {
    if (error instanceof TypeError) {
      say("The server does not answer: is it still running? This page looks for it.");
      wait = AGAIN;
    } else say(`Not read: ${error.message}`);
  } finally {
    asking = false;
    if (strokes.length && (asked !== version || wait === AGAIN)) askSoon(wait);
  }
}

// ---- corrections and the tape ----

let kept = null;             // the name under which this drawing is kept

for (let digit = 0; digit < 10; digit++) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: digit });
  button.addEventListener("click", () => correct(digit));
  $("digits").append(button);
}

// Strokes with as many points as a folder needs, in thousandths of the pad.
function thinned() {
  const step = Math.ceil(strokes.flat().length / POINTS);
  const round = (value) => Math.round(1000 * value) / 1000;
  return strokes.map((stroke) =>
    stroke.filter((_, i) => i % step === 0 || i === stroke.length - 1).map((point) => point.map(round)));
}

async function correct(digit) {
  try {
    await forget();
    const answer = await send("POST", "/mine", { pixels: grid(), strokes: thinned(), digit });
    kept = answer.kept;
    $("kept").textContent = `Kept as ${named(digit)}, on this computer alone: ${answer.folder}`;
  } catch (error) {
    $("kept").textContent = `Not kept: ${error.message}`;
  }
  $("forget").hidden = kept === null;
}

async function forget() {
  if (kept !== null) await send("DELETE", `/mine/${kept}`);
  kept = null;
  $("kept").textContent = "";
  $("forget").hidden = true;
}

$("forget").addEventListener("click", () => {
  forget().catch((error) => { $("kept").textContent = `Still kept: ${error.message}`; });
});

$("show-tape").addEventListener("click", async () => {
  try {
    const { svg } = await send("POST", "/tape", { pixels: grid() });
    URL.revokeObjectURL($("tape-picture").src);
    $("tape-picture").src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    $("tape").showModal();
  } catch (error) {
    say(`No tape: ${error.message}`);
  }
});

// ---- showing ----

let shown = null;
let announcement = null;

// Rounding must not make a certainty of what is none.
const percent = (share) => (share > 0.99 ? "> 99 %" : `${Math.round(100 * share)} %`).replaceAll(" ", "\u00a0");
const named = (digit) => `${digit === 8 ? "an" : "a"} ${digit}`;

const rows = Array.from({ length: 10 }, (_, digit) => {
  const row = $("probabilities").tBodies[0].insertRow();
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: digit });
  const bar = Object.assign(document.createElement("div"), { className: "bar" });
  const fill = bar.appendChild(document.createElement("span"));
  row.append(head);
  row.insertCell().append(bar);
  const value = row.insertCell();
  value.textContent = "–";
  return { row, fill, value };
});

const PICTURES = ["image", "saliency", "occlusion"];

const numbers = Object.fromEntries(PICTURES.map((name) => {
  const body = $(`${name}-numbers`).tBodies[0];
  const cells = Array.from({ length: 8 }, () => {
    const row = body.insertRow();
    return Array.from({ length: 8 }, () => row.insertCell());
  });
  return [name, cells.flat()];
}));

// Shown at once, so that it never contradicts the digit beside it; read aloud when the pen rests.
function say(text) {
  $("verdict").textContent = text;
  clearTimeout(announcement);
  announcement = setTimeout(() => { $("announcement").textContent = text; }, SETTLED);
}

function sentence({ digit, unlike, probabilities }) {
  if (unlike) return "This does not look like one digit.";
  const share = probabilities[digit];
  if (share >= 0.7) return `This is ${named(digit)}, ${percent(share)}.`;
  const second = probabilities.indexOf(Math.max(...probabilities.filter((_, i) => i !== digit)));
  return `Perhaps ${named(digit)}, ${percent(share)}, or ${named(second)}, ${percent(probabilities[second])}.`;
}

function show(answer) {
  shown = answer;
  $("digit").textContent = answer.unlike ? "?" : answer.digit;
  $("winner").textContent = `the ${answer.digit}${answer.unlike ? " (the likeliest)" : ""}`;
  if (answer.unlike) showNoShares();
  else showShares(answer);
  showPictures(answer);
  say(sentence(answer));
}

function showShares(answer) {
  rows.forEach(({ row, fill, value }, digit) => {
    row.classList.toggle("likeliest", digit === answer.digit);
    fill.style.width = `${100 * answer.probabilities[digit]}%`;
    value.textContent = percent(answer.probabilities[digit]);
  });
}

function showNoShares() {
  for (const { row, fill, value } of rows) {
    row.classList.remove("likeliest");
    fill.style.width = "0";
    value.textContent = "–";
  }
}

function showNothing() {
  shown = null;
  $("digit").textContent = "?";
  $("winner").textContent = "the digit";
  showNoShares();
  for (const name of PICTURES) {
    $(name).getContext("2d").clearRect(0, 0, 8, 8);
    $(name).setAttribute("aria-label", "Nothing yet");
    for (const cell of numbers[name]) cell.textContent = "";
  }
  say("Nothing drawn yet.");
}

function showPictures({ digit, image, saliency, occlusion }) {
  const style = getComputedStyle(document.documentElement);
  const [paper, ink, more, less] = ["--card", "--ink", "--more", "--less"].map(
    (name) => style.getPropertyValue(name).trim().split(" ").map(Number));
  const mix = (from, to, share) => from.map((value, i) => value + share * (to[i] - value));
  const ofInk = image.flat();

  picture("image", ofInk.map((share) => mix(paper, ink, share)));
  ofInk.forEach((share, i) => { numbers.image[i].textContent = Math.round(100 * share); });
  for (const [name, pulls] of [["saliency", saliency.flat()], ["occlusion", occlusion.flat()]]) {
    const most = Math.max(...pulls.map(Math.abs)) || 1;
    picture(name, pulls.map((pull, i) =>
      mix(mix(paper, ink, 0.25 * ofInk[i]), pull > 0 ? more : less, Math.abs(pull) / most)));
    pulls.forEach((pull, i) => { numbers[name][i].textContent = pull.toFixed(1).replace("-", "−"); });
  }
  const pulls = saliency.flat();
  const falls = occlusion.flat();
  const at = (i) => `row ${Math.floor(i / 8) + 1}, column ${(i % 8) + 1}`;
  const inked = ofInk.filter((share) => share > 0.5).length;
  $("image").setAttribute("aria-label", `Your drawing in 8 by 8 pixels; ${inked} of the 64 are mostly ink`);
  $("saliency").setAttribute("aria-label",
    `More ink in ${at(pulls.indexOf(Math.max(...pulls)))} would speak most for the ${digit}, ` +
    `more in ${at(pulls.indexOf(Math.min(...pulls)))} most against it`);
  $("occlusion").setAttribute("aria-label",
    `The ink in ${at(falls.indexOf(Math.max(...falls)))} speaks most for the ${digit}`);
}

function picture(name, colors) {
  const pixels = new ImageData(8, 8);
  colors.forEach((rgb, i) => pixels.data.set([...rgb.map(Math.round), 255], 4 * i));
  $(name).getContext("2d").putImageData(pixels, 0, 0);
}

$("help").open = matchMedia("(min-width: 62rem)").matches;
paint();
