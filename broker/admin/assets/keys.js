// Keyboard shortcuts: single keys, only where nothing is being typed.

const PAGES = {
  o: "/", c: "/clients", p: "/plugins", d: "/decisions", w: "/who-may", b: "/bans",
  s: "/subscriptions", r: "/retained", t: "/traces", l: "/access-log", a: "/alarms", k: "/keys",
};
const WAIT = 1500;

let leading = 0;

function help() {
  document.getElementById("help").showModal();
}

function pressed(event) {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (leading && Date.now() - leading < WAIT) {
    leading = 0;
    const page = PAGES[event.key];
    if (page && document.querySelector(`nav a[href="${page}"]`)) location.assign(page);
    return;
  }
  if (event.key === "g") leading = Date.now();
  else if (event.key === "?") help();
  else if (event.key === "t") window.portcullisTurnTheme();
  else if (event.key === "/") {
    const search = document.querySelector("main input[type=search], main form input");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
}

/** Listens. */
export function start() {
  document.addEventListener("keydown", pressed);
  document.getElementById("keys").addEventListener("click", help);
  document.getElementById("theme").addEventListener("click", window.portcullisTurnTheme);
}
