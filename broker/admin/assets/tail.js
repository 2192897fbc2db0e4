// Lines that the broker sends as they come, such as the records of a trace. The last few stay.

const LINES = 500;

/** Listens, if the page has a place for lines. */
export function start() {
  const place = document.querySelector("[data-tail]");
  if (!place) return;
  const source = new EventSource(place.dataset.tail);
  source.addEventListener("message", (event) => {
    const low = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    const line = document.createElement("span");
    line.textContent = `${event.data}\n`;
    place.append(line);
    while (place.childElementCount > LINES) place.firstElementChild.remove();
    if (low) place.scrollTop = place.scrollHeight;
  });
  // A trace that has ended closes the stream: what there is was shown, and trying again would show it twice.
  source.addEventListener("error", () => source.close());
}
