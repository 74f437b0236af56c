// Events come one an epoch; the curves hold all of them, the galleries the newest.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, MARGIN] = [400, 200, 50];
const history = [];

// ---- curves ----

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function curve(measure, parts) {
  const values = parts.flatMap((part) => history.map((event) => event[measure][part])).filter((v) => v !== null && v !== undefined);
  if (!values.length) return;
  const [low, high] = measure === "accuracy" ? [Math.min(0.9, ...values), 1] : [0, Math.max(...values)];
  const last = Math.max(history.at(-1).epochs, history.length, 2);
  const x = (epoch) => MARGIN + ((epoch - 1) / (last - 1)) * (WIDTH - MARGIN - 8);
  const y = (value) => HEIGHT - 22 - ((value - low) / (high - low || 1)) * (HEIGHT - 36);
  const drawn = [];
  for (const value of [low, high]) {
    drawn.push(element("line", { x1: MARGIN, x2: WIDTH - 8, y1: y(value), y2: y(value), class: "axis" }));
    drawn.push(element("text", { x: MARGIN - 5, y: y(value) + 4, "text-anchor": "end" }, short(measure, value)));
  }
  for (const epoch of [1, last]) {
    drawn.push(element("text", { x: x(epoch), y: HEIGHT - 5, "text-anchor": epoch === 1 ? "start" : "end" }, `epoch ${epoch}`));
  }
  for (const part of parts) {
    const points = history.filter((event) => Number.isFinite(event[measure][part]))
      .map((event) => `${x(event.epoch).toFixed(1)},${y(event[measure][part]).toFixed(1)}`);
    drawn.push(element("polyline", { points: points.join(" "), class: part }));
  }
  $(measure).replaceChildren(...drawn);
  const now = parts.map((part) => `${part} ${short(measure, history.at(-1)[measure][part])}`).join(", ");
  const keyed = parts.flatMap((part, i) => [
    Object.assign(document.createElement("span"), { className: `key ${part}` }), now.split(", ")[i] + (i ? "" : ", "),
  ]);
  $(`${measure}-now`).replaceChildren(...keyed);
  $(measure).setAttribute("aria-label", `${measure} after ${history.length} epochs: ${now}`);
}

const short = (measure, value) =>
  value === null || value === undefined ? "–" : measure === "accuracy" ? `${(100 * value).toFixed(1)} %` : value.toPrecision(2);

// ---- galleries ----

function colors() {
  const style = getComputedStyle(document.documentElement);
  return ["--card", "--ink", "--more", "--less"].map((name) => style.getPropertyValue(name).trim().split(" ").map(Number));
}

function picture(pixels, shape, label) {
  const [height, width] = shape;
  const [paper, ink, more, less] = colors();
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const signed = label.startsWith("unit");
  const image = new ImageData(width, height);
  pixels.forEach((value, i) => {
    const to = signed ? (value > 0 ? more : less) : ink;
    image.data.set([...paper.map((from, k) => from + Math.abs(value) * (to[k] - from)), 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function figure(canvas, caption) {
  const made = document.createElement("figure");
  made.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: caption }));
  return made;
}

function show(event) {
  if (history.some((seen) => seen.epoch === event.epoch)) return;  // told again after a break
  history.push(event);
  const rate = event.images_per_second ? `, ${Math.round(event.images_per_second).toLocaleString("en")} images a second` : "";
  const left = event.seconds_left ? `, ${Math.ceil(event.seconds_left)} s left` : "";
  $("state").textContent = `Epoch ${event.epoch} of ${event.epochs}${rate}${left}.`;
  curve("loss", ["train", "validation"]);
  curve("accuracy", ["train", "validation"]);
  const { shape, classes } = event;
  if (shape.length === 2) {
    const looked = event.weights[0].length === shape[0] * shape[1] ? shape : [3, 3];  // else kernels
    $("weights").replaceChildren(...event.weights.map((pixels, i) => picture(pixels, looked, `unit ${i + 1}`)));
    $("mistakes").replaceChildren(...event.mistakes.map(({ image, label, read, share }) =>
      figure(picture(image, shape, `a ${classes[label]}`), `${classes[label]}, read as ${classes[read]}, ${Math.round(100 * share)} %`)));
  }
  if (!event.mistakes.length) $("mistakes").textContent = "None: all are read rightly.";
}

// ---- events: the browser itself asks again when the connection breaks ----

const source = new EventSource("/progress");
source.onmessage = ({ data }) => show(JSON.parse(data));
source.addEventListener("end", () => {
  source.close();
  $("state").textContent = `Done after ${history.length} epochs. This page may be closed.`;
});
source.onerror = () => {
  if (history.length && source.readyState !== EventSource.OPEN) {
    $("state").textContent = `After ${history.length} epochs the training does not answer: it may be over.`;
  }
};
