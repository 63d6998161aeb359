/** Tasks for a worker, and their results. */

import { NoAnswer } from "./no_answer.js";

/** `ask(task, value, transferred)` of a new worker: a promise of the result, or of NoAnswer. Tasks are done in turn. */
export function startWorker() {
  const waiting = new Map();
  let asked = 0;
  const worker = workerHere();
  worker.addEventListener("message", ({ data: { id, result, refusal } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (refusal === undefined) resolve(result);
    else reject(new NoAnswer(refusal, false));
  });
  worker.addEventListener("error", () => {
    for (const { reject } of waiting.values()) reject(new NoAnswer("The browser could not run the model.", false));
    waiting.clear();
  });
  return (task, value, transferred = []) =>
    new Promise((resolve, reject) => {
      const id = asked++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, task, value }, transferred);
    });
}

/** A worker inherits the page's policy, which lets it reach no other host, only from a `blob:` address. */
function workerHere() {
  const code = `import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`;
  return new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
}
