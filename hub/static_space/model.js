/** The detector and the model in the browser, on the graphics processor or else on the processor. A stored face with a
    stored answer shows at the start whether they answer as they should. */

import { decode } from "./decoding.js";
import { cropFace, findFaces, largest } from "./faces.js";
import { NoAnswer } from "./no_answer.js";

const MODEL = new URL("../model/", import.meta.url);
const LIBRARY = new URL("../onnxruntime-web/", import.meta.url);
const MOST_THREADS = 4;        // more make a small model slower
const SAME_SCORE = 1e-3;       // largest difference from the stored answer
const SAME_PLACE = 0.5;        // px
const LIBRARIES = { webgpu: "ort.webgpu.min.mjs", wasm: "ort.wasm.min.mjs" };
const ON_PROCESSOR = "The graphics processor could not be used, so answers take longer:";

/** `{ find, classify, note }`: what answers, and what a visitor should know of it.

    Throws NoAnswer: a file is missing or damaged, or the stored face gets another answer. */
export async function load(about) {
  const [detector, model] = await Promise.all([about.detector_file, about.model_file].map(file));
  const stored = await fetch(new URL(about.self_test.picture, MODEL)).then((response) => response.blob());
  let note = "";
  if (navigator.gpu) {
    try {
      if (!(await navigator.gpu.requestAdapter())) throw new NoAnswer("the browser refused it");
      return { ...(await start("webgpu", about, detector, model, stored)), note };
    } catch (error) {
      note = `${ON_PROCESSOR} ${error.message.replace(/\.$/, "")}.`;
    }
  }
  return { ...(await start("wasm", about, detector, model, stored)), note };
}

async function file(name) {
  const response = await fetch(new URL(name, MODEL)).catch(() => null);
  if (!response?.ok) throw new NoAnswer(`The model could not be loaded: ${name} does not arrive. Reload the page.`, false);
  return new Uint8Array(await response.arrayBuffer());
}

async function start(device, about, detector, model, stored) {
  const ort = await import(new URL(LIBRARIES[device], LIBRARY));
  ort.env.wasm.wasmPaths = LIBRARY.href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  ort.env.logLevel = "error";
  const open = (content, name, ...devices) =>
    ort.InferenceSession.create(content, { executionProviders: devices }).catch((error) => {
      throw new NoAnswer(`The model could not be loaded: ${name} is damaged (${error.message.slice(0, 80)}).`, false);
    });
  const finder = await open(detector, about.detector_file, "wasm");
  const classifier = await open(model, about.model_file, ...(device === "wasm" ? ["wasm"] : [device, "wasm"]));
  const answering = { find: finding(ort, finder, about), classify: classifying(ort, classifier) };
  await selfTest(answering, about, stored);
  return answering;
}

/** The largest faces of a photo, each with its `picture`: the crop that the model sees. */
function finding(ort, session, about) {
  const detect = async ({ values, width, height }) => {
    const input = new ort.Tensor("float32", values, [1, 3, height, width]);
    const outputs = await session.run({ [session.inputNames[0]]: input });
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
  };
  return async (photo) => {
    const faces = largest(await findFaces(photo, about.crop, detect), about.max_faces);
    return faces.map((face) => ({ ...face, picture: cropFace(photo, face, about.crop, about.size, about.align) }));
  };
}

/** The probabilities of a crop, in the order of the classes. */
function classifying(ort, session) {
  return async ({ data, width, height }) => {
    const outputs = await session.run({ image: new ort.Tensor("uint8", new Uint8Array(data.buffer), [height, width, 3]) });
    return outputs.probabilities.data;
  };
}

async function selfTest({ find, classify }, about, stored) {
  const { box, probabilities } = about.self_test;
  const [face] = await find(await decode(stored, about.max_pixels));
  const other = (given, expected, most) => expected.some((value, i) => !(Math.abs(given[i] - value) <= most));
  if (!face || other(face.box, box, SAME_PLACE) || other(await classify(face.picture), probabilities, SAME_SCORE)) {
    throw new NoAnswer("The model gives another answer to a stored face here than where it was published.", false);
  }
}
