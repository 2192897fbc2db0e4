// What is said to the reader: short messages, and questions before something that cannot be undone.

const STAY = 6000;

/** A message at the edge of the page; a bad one stays until it is closed. */
export function toast(text, bad = false) {
  const place = document.getElementById("toasts");
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  if (bad) box.setAttribute("role", "alert");
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.textContent = "Close";
  close.addEventListener("click", () => box.remove());
  box.append(words, close);
  place.append(box);
  while (place.children.length > 4) place.firstElementChild.remove();
  if (!bad) setTimeout(() => box.remove(), STAY);
}

/** Whether the reader wants that. */
export function confirmed(text, button) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = button;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

/** Says something once more on the next page. */
export function toastAfter(text) {
  sessionStorage.setItem("toast", text);
}

/** Says what the page before left. */
export function toastFromBefore() {
  const text = sessionStorage.getItem("toast");
  sessionStorage.removeItem("toast");
  if (text) toast(text);
}
