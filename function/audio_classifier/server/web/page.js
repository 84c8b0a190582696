// The page's elements.

export const $ = (id) => document.getElementById(id);

export const show = (id, shown) => ($(id).hidden = !shown);

/** What happens, also to those who do not see it. */
export function say(words) {
  $("status").textContent = words;
  $("status").classList.remove("unseen");
}

export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}
