// How far the broker is with an upload, from its stream of events.

// Longer than this nobody waits for what the stream has to say: the answer says what became of it.
const PATIENCE = 1000;

/** What the broker does with a file that arrived. */
export const STAGES = {
  checking: "Its outside and its grants are checked.",
  compiling: "It is compiled.",
  testing: "It runs where nobody is judged by it.",
};

/** What is promised, or nothing if that takes too long. */
const soon = (promise) =>
  Promise.race([promise, new Promise((done) => { setTimeout(done, PATIENCE); })]);

const random = () =>
  [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Gives the name for an upload whose stages are told from now on. */
export async function watch(events, tell) {
  const id = random();
  // The reader may not see events.
  if (!events) return { id, ended: async () => {}, close: () => {} };
  const source = new EventSource(events);
  const ended = new Promise((end) => {
    source.addEventListener("plugin_upload", (event) => {
      const { target, reason } = JSON.parse(event.data);
      if (target !== id || reason === "received") return;
      if (reason in STAGES) tell(reason);
      else end();
    });
    // The stream is not there, or no more.
    source.addEventListener("error", end);
  });
  const opened = new Promise((done) => { source.addEventListener("open", done); });
  await soon(Promise.race([opened, ended]));
  return { id, ended: () => soon(ended), close: () => source.close() };
}
