// Lines that the broker sends as they come, such as the records of a trace. The last few stay.

const LINES = 500;

/** Listens, if the page has a place for lines. */
export function start() {
  const place = document.querySelector("[data-tail]");
  if (!place) return;
  const source = new EventSource(place.dataset.tail);
  const show = (text) => {
    const low = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    const line = document.createElement("span");
    line.textContent = `${text}\n`;
    place.append(line);
    while (place.childElementCount > LINES) place.firstElementChild.remove();
    if (low) place.scrollTop = place.scrollHeight;
  };
  source.addEventListener("message", (event) => show(event.data));
  source.addEventListener("end", () => {
    source.close();
    show("(The end: the trace is over.)");
  });
  // A connection is good for some minutes; the browser comes back by itself and goes on behind the last record.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) show("(No more: reload the page to look on.)");
  });
}
