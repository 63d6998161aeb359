/** Tasks for a worker, and their results. */

import { NoAnswer } from "./no_answer.js";

const ENDED = "The browser could not run the model. Reload the page.";

/** `ask(task, value, transferred)` of a new worker: a promise of the result, or of NoAnswer. Tasks are done in turn. A
    worker that does not start, or that ends, refuses every task. */
export function startWorker() {
  const waiting = new Map();
  let asked = 0;
  const worker = workerHere();
  if (!worker) return () => Promise.reject(new NoAnswer(ENDED, false));
  let ended = false;
  worker.addEventListener("message", ({ data: { id, result, refusal } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (refusal === undefined) resolve(result);
    else reject(new NoAnswer(refusal, false));
  });
  worker.addEventListener("error", () => {
    ended = true;
    for (const { reject } of waiting.values()) reject(new NoAnswer(ENDED, false));
    waiting.clear();
  });
  return (task, value, transferred = []) =>
    new Promise((resolve, reject) => {
      if (ended) throw new NoAnswer(ENDED, false);
      const id = asked++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, task, value }, transferred);
    });
}

/** A worker inherits the page's policy, which lets it reach no other host, only from a `blob:` address. Null where the
    browser, or the page that frames this one, allows no worker. */
function workerHere() {
  const code = `import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`;
  try {
    return new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  } catch {
    return null;
  }
}
