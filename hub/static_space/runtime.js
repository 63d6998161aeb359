/** onnxruntime-web and the files of the model: what the finder and the classifier open their sessions with. */

import { NoAnswer } from "./no_answer.js";

const MODEL = new URL("../model/", import.meta.url);
const LIBRARY = new URL("../onnxruntime-web/", import.meta.url);
const NO_ENGINE = /no available backend/;  // onnxruntime-web, where it cannot start; all else is the model's fault
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
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
    Throws NoAnswer: the library does not arrive or cannot run here, or the file `name` is damaged. */
export async function open(device, executionProviders, content, name, threads) {
  const ort = await import(new URL(LIBRARIES[device], LIBRARY)).catch(() => {
    throw new NoAnswer("The model could not be loaded: onnxruntime-web does not arrive. Reload the page.", false);
  });
  ort.env.wasm.wasmPaths = LIBRARY.href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(content, { executionProviders }).catch((error) => {
    throw new NoAnswer(whyNot(error, name), false);
  });
  return { session, Tensor: ort.Tensor };
}

function whyNot({ message }, name) {
  if (!NO_ENGINE.test(message)) return `The model could not be loaded: ${name} is damaged (${message.slice(0, 80)}).`;
  if (!globalThis.WebAssembly?.validate(new Uint8Array(SIMD))) {
    return "This browser cannot run the model: it has no WebAssembly with SIMD. Use a newer one, or allow WebAssembly.";
  }
  return "The model could not be loaded: onnxruntime-web does not start. Reload the page.";
}
