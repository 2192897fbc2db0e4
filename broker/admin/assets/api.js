// Asking the API from a page: the cookie says who, the header that the page is ours.

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

/** A problem that the API answered, as RFC 9457 has it. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `The broker answered with status ${status}.`);
    this.status = status;
    this.title = body?.title ?? "The request failed";
    this.kind = body?.type;
    this.allowed = body?.allowed;
    this.parameter = body?.parameter;
  }

  /** As one text for people. */
  get text() {
    const allowed = this.allowed ? ` Allowed: ${this.allowed}.` : "";
    return `${this.title}: ${this.message}${allowed}`;
  }
}

/** Asks a route; gives its JSON, or null where there is none. */
export async function ask(verb, url, body, etag) {
  const headers = { accept: "application/json" };
  if (verb !== "GET") headers["x-csrf-token"] = csrf();
  if (body !== undefined && body !== null) headers["content-type"] = "application/json";
  // Only if it still is what was shown.
  if (etag) headers["if-match"] = etag;
  let answer;
  try {
    answer = await fetch(url, { method: verb, headers, body, credentials: "same-origin" });
  } catch {
    throw new Problem(0, { title: "No answer", detail: "The broker cannot be reached." });
  }
  const text = await answer.text();
  let read = null;
  try {
    read = text ? JSON.parse(text) : null;
  } catch {
    read = null;
  }
  if (!answer.ok) throw new Problem(answer.status, read);
  return read;
}

/** Sends a file to a route under a name of its own and tells how far it is, from 0 to 1. */
export function upload([verb, url], file, name, progress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open(verb, url);
    request.setRequestHeader("x-csrf-token", csrf());
    request.setRequestHeader("content-type", "application/wasm");
    request.setRequestHeader("portcullis-upload", name);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("error", () =>
      failed(new Problem(0, { title: "No answer", detail: "The upload broke off." })));
    request.addEventListener("load", () => {
      let read = null;
      try {
        read = JSON.parse(request.responseText);
      } catch {
        read = null;
      }
      if (request.status < 300) done(read);
      else failed(new Problem(request.status, read));
    });
    request.send(file);
  });
}
