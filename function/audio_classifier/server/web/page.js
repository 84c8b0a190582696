// Functions for the elements of the page.

export const $ = (id) => document.getElementById(id);

export const show = (id, shown) => ($(id).hidden = !shown);

/** Show a message in the status line, which screen readers announce. */
export function setStatus(message) {
  $("status").textContent = message;
  $("status").classList.remove("visually-hidden");
}

export function element(name, text = "", className = "") {
  const created = document.createElement(name);
  created.textContent = text;
  created.className = className;
  return created;
}
