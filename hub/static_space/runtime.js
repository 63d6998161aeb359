/** onnxruntime-web and the files of the model: what the finder and the classifier open their sessions with. */

import { NoAnswer } from "./no_answer.js";

const MODEL = new URL("../model/", import.meta.url);
const LIBRARY = new URL("../onnxruntime-web/", import.meta.url);
const LIBRARIES = { webgpu: "ort.webgpu.min.mjs", wasm: "ort.wasm.min.mjs" };

/** The content of a file of the folder `model/`.

    Throws NoAnswer: it does not arrive. */
export async function file(name) {
  const response = await fetch(new URL(name, MODEL)).catch(() => null);
  const content = response?.ok ? await response.arrayBuffer().catch(() => null) : null;
  if (!content) throw new NoAnswer(`The model could not be loaded: ${name} does not arrive. Reload the page.`, false);
  return new Uint8Array(content);
}

/** A session of the model `content` on one of `executionProviders`, and the library's tensors.

    `device`: whose library to load, "webgpu" or "wasm"; both can answer on the processor, and a page loads one of them.
    Throws NoAnswer: the file `name` is damaged. */
export async function open(device, executionProviders, content, name, threads) {
  const ort = await import(new URL(LIBRARIES[device], LIBRARY));
  ort.env.wasm.wasmPaths = LIBRARY.href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(content, { executionProviders }).catch((error) => {
    throw new NoAnswer(`The model could not be loaded: ${name} is damaged (${error.message.slice(0, 80)}).`, false);
  });
  return { session, Tensor: ort.Tensor };
}
