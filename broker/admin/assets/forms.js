// Buttons and forms that ask the API. What they ask stands in the page; here is only how.

import { ask, upload } from "./api.js";
import { confirmed, toast, toastAfter } from "./dialog.js";
import { readAgain } from "./live.js";

/** The button that was pressed asks its route. */
async function act(button) {
  const { verb, url, body, confirm, done, then } = button.dataset;
  if (confirm && !(await confirmed(confirm, button.textContent))) return;
  button.disabled = true;
  try {
    await ask(verb, url, body);
    await finished(done, then);
  } catch (problem) {
    if (!problem.text) throw problem;
    toast(problem.text, true);
  } finally {
    button.disabled = false;
  }
}

async function finished(done, then) {
  if (then) {
    toastAfter(done);
    location.assign(then);
    return;
  }
  toast(done);
  await readAgain();
}

/** What is filled in, as JSON; what is empty is left out. */
function filledIn(form) {
  const body = {};
  for (const input of form.elements) {
    if (!input.name || input.type === "file") continue;
    const { kind } = input.dataset;
    if (kind === "check") body[input.name] = input.checked;
    else if (kind === "lines") {
      const lines = input.value.split("\n").map((line) => line.trim()).filter(Boolean);
      if (lines.length > 0) body[input.name] = lines;
    } else if (input.value !== "") {
      body[input.name] = kind === "number" ? Number(input.value) : input.value;
    }
  }
  return body;
}

/** The address with the names in braces filled in; they are taken out of the body. */
function address(template, body) {
  return template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = body[name] ?? "";
    delete body[name];
    return encodeURIComponent(value);
  });
}

function problemIn(form, problem) {
  const place = form.querySelector(".problem");
  place.textContent = problem ? problem.text : "";
  place.hidden = !problem;
}

async function send(form) {
  const { verb, url, done, then, shows, etag } = form.dataset;
  const button = form.querySelector("button.main");
  problemIn(form, null);
  button.disabled = true;
  try {
    const body = filledIn(form);
    const where = address(url, body);
    const sent = Object.keys(body).length > 0 ? JSON.stringify(body) : null;
    const answer = await ask(verb, where, sent, etag);
    const shown = shows && answer ? answer[shows] : undefined;
    form.reset();
    if (shown !== undefined) {
      const output = form.querySelector("output");
      output.textContent = `${done} ${shown}`;
      output.hidden = false;
      await readAgain();
    } else {
      await finished(done, then);
    }
  } catch (problem) {
    if (!problem.text) throw problem;
    problemIn(form, problem);
  } finally {
    button.disabled = false;
  }
}

async function sendFile(form) {
  const input = form.querySelector("input[type=file]");
  const file = input.files[0];
  const bar = form.querySelector("progress");
  const state = form.querySelector(".state");
  const button = form.querySelector("button.main");
  problemIn(form, null);
  button.disabled = true;
  bar.hidden = false;
  bar.value = 0;
  state.textContent = `Sending ${file.name}`;
  try {
    const body = { name: form.elements.name.value };
    const plugin = await upload(address(form.dataset.url, body), file, (part) => {
      bar.value = part * 100;
      if (part >= 1) {
        bar.removeAttribute("value");
        state.textContent = "Sent. It is being checked, compiled and tested.";
      }
    });
    state.textContent = "";
    toast(`${plugin.name} is ${plugin.state.replaceAll("_", " ")}.`);
    input.value = "";
    await readAgain();
  } catch (problem) {
    if (!problem.text) throw problem;
    state.textContent = "";
    problemIn(form, problem);
  } finally {
    bar.hidden = true;
    button.disabled = false;
  }
}

/** A file that is dropped on a form of files is chosen; its name becomes the name of the plugin. */
function watchFile(form) {
  const input = form.querySelector("input[type=file]");
  const name = form.elements.name;
  const named = () => {
    const file = input.files[0];
    if (file && !name.value) name.value = file.name.replace(/\.wasm$/, "").replace(/[^\w-]/g, "-");
  };
  input.addEventListener("change", named);
  for (const kind of ["dragover", "dragleave", "drop"]) {
    form.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length > 0) {
        input.files = event.dataTransfer.files;
        named();
      }
    });
  }
}

/** Makes buttons and forms work. */
export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.action");
    if (button) act(button);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("form.sent")) {
      event.preventDefault();
      send(form);
    } else if (form.matches("form.upload")) {
      event.preventDefault();
      sendFile(form);
    }
  });
  document.querySelectorAll("form.upload").forEach(watchFile);
}
