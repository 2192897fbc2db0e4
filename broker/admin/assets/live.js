// Keeping a page up to date: it is read again from the server, and what changed takes its place.

import { toast } from "./dialog.js";

// A page that nobody looks at, or touches for so long, does not keep the login awake.
const IDLE = 15 * 60 * 1000;

let touched = Date.now();
let failed = false;
let gone = false;

/** Whether nobody looks at the page, or has touched it for long. */
export const idle = () => document.hidden || Date.now() - touched > IDLE;

/** Reads the page again. */
export async function readAgain() {
  let answer;
  try {
    answer = await fetch(location.href, { headers: { accept: "text/html" } });
  } catch {
    if (!failed) toast("The broker cannot be reached; the numbers stand still.", true);
    failed = true;
    return;
  }
  if (failed) toast("The broker answers again.");
  failed = false;
  if (new URL(answer.url).pathname === "/login") {
    location.assign(answer.url);
    return;
  }
  if (answer.status === 404) {
    if (!gone) toast("What this page shows is no longer there.", true);
    gone = true;
    return;
  }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  replace(page);
  tellTimes();
}

/** Takes over the parts of the page that show something; where there are others than before, all of it. */
function replace(page) {
  const [old, fresh] = [document, page].map((root) =>
    named([...root.querySelectorAll("main [data-live]")], (part) => part.dataset.live));
  if ([...old.keys()].join("\n") !== [...fresh.keys()].join("\n")) arrange(page);
  for (const [name, part] of old) {
    const next = fresh.get(name);
    const busy = part.contains(document.activeElement) && document.activeElement.matches("button, a");
    if (part.isConnected && next && next !== part && !busy && part.innerHTML !== next.innerHTML) {
      part.replaceChildren(...document.adoptNode(next).childNodes);
    }
  }
}

/** Puts new parts in their places and takes away those that are gone; what stays is not touched. */
function arrange(page) {
  const main = document.getElementById("main");
  // Whoever is filling in something is not disturbed: the next reading comes.
  if (document.activeElement.matches("main input, main select, main textarea")) return;
  const nameOf = (part) => part.dataset.live
    ?? `${part.tagName} ${part.className} ${part.querySelector("h2, summary")?.textContent}`;
  const old = named([...main.children], nameOf);
  const wanted = named([...page.getElementById("main").children], nameOf);
  for (const [name, part] of old) if (!wanted.has(name)) part.remove();
  let before = null;
  for (const [name, part] of [...wanted].reverse()) {
    const place = old.get(name) ?? document.adoptNode(part);
    if (place.nextElementSibling !== before || !place.isConnected) main.insertBefore(place, before);
    before = place;
  }
}

/** Elements by name; those of the same name are told apart by their order. */
function named(elements, nameOf) {
  const counts = new Map();
  return new Map(elements.map((element) => {
    const name = nameOf(element);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return [`${name} (${counts.get(name)})`, element];
  }));
}

/** How long ago something was, beside the moment itself. */
export function tellTimes() {
  const now = Date.now() / 1000;
  for (const time of document.querySelectorAll("time[data-unix]")) {
    const seconds = Math.round(now - Number(time.dataset.unix));
    const [size, unit] =
      Math.abs(seconds) < 60 ? [seconds, "s"]
      : Math.abs(seconds) < 3600 ? [Math.round(seconds / 60), "min"]
      : Math.abs(seconds) < 86400 ? [Math.round(seconds / 3600), "h"]
      : [Math.round(seconds / 86400), "d"];
    time.title ||= time.textContent;
    const text = size < 0 ? `in ${-size} ${unit}` : `${size} ${unit} ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Reads the page again every few seconds, if it says so. */
export function start() {
  tellTimes();
  setInterval(tellTimes, 1000);
  for (const kind of ["pointerdown", "pointermove", "keydown", "scroll"]) {
    addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  }
  const seconds = Number(document.getElementById("main").dataset.refresh);
  if (!seconds) return;
  setInterval(() => {
    const open = document.querySelector("dialog[open]");
    if (gone || open || idle()) return;
    readAgain();
  }, seconds * 1000);
}
