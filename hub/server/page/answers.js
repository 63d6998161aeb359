/** Answers by HTTP, from the server that served the page. A static Space has another file of this name, with the same
    exports, that answers in the browser. */

import { count } from "./dom.js";
import { NoAnswer } from "./no_answer.js";

const BUSY_SECONDS = 5;     // wait where an overloaded server names a date
const FRAME_QUALITY = 0.92; // of the JPEG of a webcam's frame

export const KEEPS = "Pictures are sent to this server for an answer. It neither stores nor logs them.";
export const HAS_API = true;

/** What the page says of the model: see `Health` in contract.py. A server that answers has loaded it already. */
export async function about() {
  const response = await fetch("health").catch(() => null);
  if (!response?.ok) throw new NoAnswer("The server does not answer.", true);
  const health = await response.json();
  const blind = "This server has no face detector, so this page cannot find faces; the API still takes cropped faces.";
  return { ...health, note: health.detector ? "" : blind };
}

/** Drawn faces to try: `[{ name, src }]`. */
export async function examples() {
  return fetch("examples").then((response) => (response.ok ? response.json() : [])).catch(() => []);
}

/** The answer for one picture (a file or a canvas), with `total`: milliseconds from asking to answer. One picture a
    request: a picture that is refused must not take others with it. */
export async function predict(picture, name, { explain = false, signal } = {}) {
  const form = new FormData();
  form.append("files", picture instanceof Blob ? picture : await encoded(picture), name);
  const start = performance.now();
  const address = explain ? "predict?explain=true" : "predict";
  const response = await fetch(address, { method: "POST", body: form, signal }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new NoAnswer("The server does not answer. Is it running, and are you online?", true);
  });
  const body = await response.json().catch(() => null);
  if (!response.ok || !body) throw refusal(response.status, body, response.headers.get("Retry-After"));
  return { ...body.files[0], total: performance.now() - start };
}

function encoded(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", FRAME_QUALITY));
}

function refusal(status, body, retryAfter) {
  const reason = typeof body?.error === "string" ? body.error.replace(/\.$/, "") : `status ${status}`;
  if (retryAfter) {
    const wait = Number.parseInt(retryAfter, 10) || BUSY_SECONDS;
    return new NoAnswer(`The server is busy, and asks to wait ${count(wait, "second")}: ${reason}.`, true, wait);
  }
  const what = status < 500 ? "The server did not take this picture." : "The server could not answer.";
  return new NoAnswer(`${what} ${reason}.`, status >= 500);
}
