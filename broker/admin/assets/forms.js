// Buttons and forms that ask the API. What they ask stands in the page; here is only how.

import { ask, upload } from "./api.js";
import { confirmed, toast, toastAfter } from "./dialog.js";
import { readAgain } from "./live.js";

/** The button that was pressed asks its route. */
async function act(button) {
  const { verb, url, body, confirm, done, then, etag } = button.dataset;
  if (confirm && !(await confirmed(confirm, button.textContent))) return;
  button.disabled = true;
  try {
    await ask(verb, url, body, etag);
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
    else if (kind === "member") {
      if (input.checked) body[input.name] = [...(body[input.name] ?? []), input.value];
    } else if (kind === "moment") {
      if (input.value) body[input.name] = Date.parse(`${input.value}Z`) / 1000;
    } else if (input.value !== "") {
      body[input.name] = kind === "number" ? Number(input.value) : input.value;
    }
  }
  return body;
}

/** `.` and `..` cannot stand in a path: the API reads them with a `~` before them. */
const segment = (value) => (/^~*\.\.?$/.test(value) ? `~${value}` : value);

/** The address with the names in braces filled in; they are taken out of the body. */
function address(template, body) {
  return template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = body[name] ?? "";
    delete body[name];
    return encodeURIComponent(segment(value));
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
    // A form without inputs asks a route that takes no body.
    const sent = form.querySelector("[data-kind]") ? JSON.stringify(body) : null;
    const answer = await ask(verb, where, sent, etag);
    const shown = shows && answer ? answer[shows] : undefined;
    form.reset();
    if (shown !== undefined) {
      const output = form.querySelector("output");
      output.textContent = `${done} ${shown}`;
      if (answer.qr_code) {
        // Few pages ever need it.
        const { qrCode } = await import("./qr.js");
        output.append(qrCode(answer.qr_code, answer.uri));
      }
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
  const stages = [...form.querySelectorAll(".stages li")];
  const state = form.querySelector(".state");
  const button = form.querySelector("button.main");
  problemIn(form, null);
  button.disabled = true;
  const reached = (stage) => {
    const at = stages.findIndex((entry) => entry.dataset.stage === stage);
    stages.forEach((entry, place) => {
      entry.className = place < at ? "done" : place === at ? "now" : "";
    });
  };
  bar.parentElement.hidden = false;
  bar.value = 0;
  reached("sending");
  state.textContent = `Sending ${file.name}`;
  const { verb, url, done, events } = form.dataset;
  // Few pages ever need it.
  const { STAGES, watch } = await import("./stages.js");
  const told = await watch(events, (stage) => {
    bar.removeAttribute("value");
    reached(stage);
    state.textContent = STAGES[stage];
  });
  try {
    const body = { name: form.elements.name.value };
    const plugin = await upload([verb, address(url, body)], file, told.id, (part) => {
      bar.value = part * 100;
      stages[0].textContent = `Sent ${Math.floor(part * 100)} %`;
      // The broker may have told more by now.
      if (part >= 1 && stages[0].className === "now") {
        bar.removeAttribute("value");
        reached("checking");
        state.textContent = "Sent. It is being checked, compiled and tested.";
      }
    });
    await told.ended();
    reached("end");
    state.textContent = "";
    toast(done || `${plugin.name} is ${plugin.state.replaceAll("_", " ")}.`);
    input.value = "";
    await readAgain();
  } catch (problem) {
    if (!problem.text) throw problem;
    state.textContent = "";
    problemIn(form, problem);
  } finally {
    told.close();
    bar.parentElement.hidden = true;
    button.disabled = false;
  }
}

/** The name of the chosen file becomes the name of the plugin. */
function nameAfterFile(form) {
  const file = form.querySelector("input[type=file]").files[0];
  const name = form.elements.name;
  if (file && !name.value) name.value = file.name.replace(/\.wasm$/, "").replace(/[^\w-]/g, "-");
}

/** A file that is dropped on a form of files is chosen. */
function dropped(event) {
  const form = event.target.closest?.("form.upload");
  if (!form) return;
  event.preventDefault();
  form.classList.toggle("over", event.type === "dragover");
  if (event.type === "drop" && event.dataTransfer.files.length > 0) {
    form.querySelector("input[type=file]").files = event.dataTransfer.files;
    nameAfterFile(form);
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
  document.addEventListener("change", (event) => {
    if (event.target.matches("form.upload input[type=file]")) nameAfterFile(event.target.form);
  });
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, dropped);
}
