/** Answers in the browser: no picture leaves this device. The server has another file of this name, with the same
    exports, that answers by HTTP. */

import { NoAnswer } from "./no_answer.js";

export const KEEPS = "Pictures stay on this device: the model runs in your browser, and nothing is sent.";
export const HAS_API = false;

const described = fetch("model/about.json").then((response) => response.json());
const worker = startWorker();
const waiting = new Map();
let asked = 0;

/** A worker inherits the page's policy, which lets it reach no other host, only from a `blob:` address. */
function startWorker() {
  const code = `import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`;
  const started = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  started.addEventListener("message", ({ data: { id, result, refusal } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (refusal === undefined) resolve(result);
    else reject(new NoAnswer(refusal, false));
  });
  started.addEventListener("error", () => {
    for (const { reject } of waiting.values()) reject(new NoAnswer("The browser could not run the model.", false));
    waiting.clear();
  });
  return started;
}

function ask(task, value, transferred = []) {
  return new Promise((resolve, reject) => {
    const id = asked++;
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, task, value }, transferred);
  });
}

const started = described.then((about) => ask("start", about), () => {
  throw new NoAnswer("The model could not be loaded: model/about.json does not arrive. Reload the page.", false);
});
started.catch(() => {});  // each picture that waits for it says why

/** What the page says of the model, once it answers; `report` is called with what is going on. */
export async function about(report) {
  const { megabytes, ...words } = await described.catch(() => ({}));
  const most = navigator.gpu ? megabytes?.webgpu : megabytes?.wasm;
  if (most) report(`Loading the model, up to ${most} MB once. Pictures that you choose wait for it…`);
  return { ...words, ...(await started) };
}

/** Drawn faces to try: `[{ name, src }]`. */
export async function examples() {
  const { examples: names = [] } = await described.catch(() => ({}));
  return names.map((name) => ({ name, src: `examples/${name}.png` }));
}

/** The answer for one picture (a file or a canvas), with `total`: milliseconds from asking to answer. */
export async function predict(picture, name, { explain = false, signal } = {}) {
  await started;
  signal?.throwIfAborted();
  const start = performance.now();
  const pixels = picture instanceof Blob ? picture : pixelsOf(picture);
  const answer = await ask("answer", { picture: pixels, explain }, pixels.data ? [pixels.data.buffer] : []);
  signal?.throwIfAborted();
  return { ...answer, name, total: performance.now() - start };
}

function pixelsOf(canvas) {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { data, width, height };
}
