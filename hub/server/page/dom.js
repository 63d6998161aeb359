/** The elements of the page, and the words that all of its parts use. */

export const byId = (id) => document.getElementById(id);
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const percent = (score) => `${(100 * score).toFixed(1)} %`;
export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
export const bestOf = (scores) => [...scores].sort((a, b) => b.score - a.score);

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A short line for all, and details that only a screen reader needs: the cards show them to everyone else. */
export function say(text, details = "") {
  byId("status").replaceChildren(text, element("span", { class: "unseen" }, ` ${details}`));
}
