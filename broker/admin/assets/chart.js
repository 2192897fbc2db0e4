// Lines over the last quarter of an hour, as SVG. Each drawing says the same in words.

import { ask } from "./api.js";
import { idle } from "./live.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 96;
// At least a minute is drawn, at most what is kept: a quarter of an hour.
const FEWEST = 12;

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${fine.format(value)} ${units[unit]}`;
}

const WORDS = {
  count: (value) => count.format(value),
  level: (value) => count.format(value),
  rate: (value) => `${value < 10 ? fine.format(value) : count.format(value)}/s`,
  bytes: (value) => `${bytes(value)}/s`,
  milliseconds: (value) => `${fine.format(value)} ms/s`,
};

/** The next number that is good to read, above the largest. */
function ceiling(largest, unit) {
  if (unit === "level") return 10;
  if (largest <= 0) return 1;
  const base = unit === "bytes" ? 2 : 10;
  const size = base ** Math.floor(Math.log(largest) / Math.log(base));
  return [1, 2, 5, 10].map((step) => step * size).find((step) => step >= largest);
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function draw(figure, samples, seconds) {
  const { unit } = figure.dataset;
  const words = WORDS[unit];
  const title = figure.querySelector("figcaption").textContent;
  const series = [...figure.querySelectorAll("[data-series]")].map((entry) => ({
    entry,
    name: entry.dataset.name,
    values: samples.map((sample) => sample[entry.dataset.series] ?? 0),
  }));
  const top = ceiling(Math.max(...series.flatMap(({ values }) => values)), unit);
  const drawn = Math.max(samples.length - 1, FEWEST);
  const minutes = Math.round((drawn * seconds) / 60);
  const x = (place) => WIDTH - ((samples.length - 1 - place) / drawn) * WIDTH;
  const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 6);
  const picture = node("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
  });
  for (const part of [0.5, 1]) {
    picture.append(node("line", {
      x1: 0, x2: WIDTH, y1: y(top * part), y2: y(top * part), class: "grid",
    }));
  }
  const said = series.map(({ entry, name, values }, place) => {
    const now = values.at(-1);
    entry.querySelector("b").textContent = words(now);
    const points = values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    if (place === 0) {
      const area = `${x(0).toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`;
      picture.append(node("polygon", { points: area, class: "area" }));
    }
    picture.append(node("polyline", { points: points.join(" "), class: `line-${place + 1}` }));
    return `${name} now ${words(now)}, at most ${words(Math.max(...values))}`;
  });
  picture.setAttribute("aria-label", `${title} of the last ${minutes} minutes: ${said.join("; ")}.`);
  const scale = document.createElement("span");
  scale.className = "scale";
  scale.setAttribute("aria-hidden", "true");
  scale.textContent = words(top);
  const times = document.createElement("span");
  times.className = "times";
  times.setAttribute("aria-hidden", "true");
  const [from, to] = [document.createElement("span"), document.createElement("span")];
  from.textContent = `${minutes} min ago`;
  to.textContent = "now";
  times.append(from, to);
  figure.querySelector(".plot").replaceChildren(scale, picture, times);
}

async function update(place) {
  if (idle()) return;
  const overview = await ask("GET", place.dataset.charts);
  const { samples } = overview;
  if (samples.length === 0) return;
  for (const figure of place.querySelectorAll(".chart")) draw(figure, samples, overview.interval_seconds);
  place.dataset.drawn = String(samples.at(-1).at);
}

/** Draws the charts of the page, again and again. */
export function start() {
  const place = document.querySelector("[data-charts]");
  if (!place) return;
  // What is wrong the reader of the page is told by what reads it again.
  const quietly = () => update(place).catch(() => {});
  quietly();
  setInterval(quietly, 5000);
}
