/** Answers in the browser: no picture leaves this device. The server has another file of this name, with the same
    exports, that answers by HTTP. */

import { NoAnswer } from "./no_answer.js";
import { startWorker } from "./workers.js";

export const KEEPS = "Pictures stay on this device: the model runs in your browser, and nothing is sent.";
export const HAS_API = false;

const described = fetch("model/about.json").then((response) => response.json());
const finder = startWorker();
const classifier = startWorker();

/** Starts both workers; the model arrives while the finder starts. */
async function start() {
  const about = await described.catch(() => {
    throw new NoAnswer("The model could not be loaded: model/about.json does not arrive. Reload the page.", false);
  });
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const device = adapter ? "webgpu" : "wasm";
  const starting = [finder("startFinder", { ...about, device }), classifier("loadModel", about)];
  const [stored] = await Promise.all(starting);
  return classifier("startClassifier", { device, stored });
}

const started = start();
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

/** The answer for one picture (a file or a canvas), with `total`: milliseconds from asking to answer. While the faces of
    one picture are classified, those of the next one are found. */
export async function predict(picture, name, { explain = false, signal } = {}) {
  await started;
  signal?.throwIfAborted();
  const start = performance.now();
  const pixels = picture instanceof Blob ? picture : pixelsOf(picture);
  const { faces: found, width, height } = await finder("find", pixels, pixels.data ? [pixels.data.buffer] : []);
  signal?.throwIfAborted();
  const faces = await classifier("answer", { faces: found, explain });
  signal?.throwIfAborted();
  const message = faces.length ? null : (await described).no_face;
  return { width, height, message, faces, name, total: performance.now() - start };
}

function pixelsOf(canvas) {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { data, width, height };
}
