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

/** Takes over the parts of the page that show something. */
function replace(page) {
  const fresh = new Map(parts(page).map((part) => [part.dataset.live, part]));
  for (const old of parts(document)) {
    const next = fresh.get(old.dataset.live);
    const busy = old.contains(document.activeElement) && document.activeElement.matches("button, a");
    if (next && !busy && old.innerHTML !== next.innerHTML) {
      old.replaceChildren(...document.adoptNode(next).childNodes);
    }
  }
}

const parts = (root) => [...root.querySelectorAll("main [data-live]")];

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
