// Logging in: what is typed goes to the API, what comes back is a cookie that no script can read.

import { ask } from "./api.js";

const form = document.getElementById("login");
const problem = form.querySelector(".problem");

function credentials() {
  const { username, password, code, token } = form.elements;
  if (token.value !== "") return { token: token.value.trim(), cookie: true };
  const said = { username: username?.value ?? "", password: password?.value ?? "", cookie: true };
  if (code?.value) said.code = code.value.trim();
  return said;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  problem.hidden = true;
  try {
    await ask("POST", "/api/v1/login", JSON.stringify(credentials()));
    location.assign(form.dataset.next);
  } catch (error) {
    if (!error.text) throw error;
    const needed = error.kind === "urn:portcullis:problem:code_needed";
    if (needed) {
      document.getElementById("code").hidden = false;
      form.elements.code.focus();
    }
    problem.textContent = error.status === 401 && !needed ? "That is not right." : error.text;
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
});
document.documentElement.dataset.ready = "true";
