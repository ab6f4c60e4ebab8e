// Short words for finding, making and telling.

export const $ = (id) => document.getElementById(id);

/** An element with attributes, `dataset` entries, an `onclick`, and children. */
export function make(tag, { dataset = {}, onclick, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  Object.assign(element.dataset, dataset);
  if (onclick) element.addEventListener("click", onclick);
  element.append(...children);
  return element;
}

/** Set a text only where it differs, so that screen readers and selections are left in peace. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A message in a notice box; an empty one hides the box. */
export function notice(element, text, tone = "") {
  element.hidden = !text;
  element.className = `notice ${tone}`.trim();
  write(element, text);
}

/** Tell users of screen readers what others see. */
export function announce(text) {
  write($("announcer"), text);
}

/** Available or not, but always in reach of the keyboard, so that the focus is never lost. */
export function enable(button, isEnabled) {
  if (isEnabled) button.removeAttribute("aria-disabled");
  else button.setAttribute("aria-disabled", "true");
}

export const isEnabled = (button) => button.getAttribute("aria-disabled") !== "true";

/** Whether it could be put on the clipboard. Without TLS only the old way works. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // not allowed here: the old way
    }
  }
  const before = document.activeElement;
  const box = make("textarea", { class: "sr-only", "aria-hidden": "true" });
  box.value = text;
  document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  before?.focus();
  return done;
}

/** Copy, and say so on the button for a moment. */
export async function copyFrom(button, text) {
  const label = (button.dataset.label ??= button.textContent);
  button.textContent = (await copy(text)) ? "Copied" : "Not allowed";
  setTimeout(() => (button.textContent = label), 1500);
}
