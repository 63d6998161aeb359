/** The worker's second task: from crops of faces to answers in the form of `POST /predict` of the server. */

import { NoAnswer } from "./no_answer.js";
import { coloured, cover, needed, windows } from "./occlusion.js";
import { file, open } from "./runtime.js";

const MOST_THREADS = 4;   // more make a small model slower; and one core is left to the finder
const SAME_SCORE = 1e-3;  // largest difference from the stored answer
const SLOWER = "Answers take longer here, because this page could not use the graphics processor";

let about;
let content;   // of the model's file
let classify;  // the probabilities of a crop, in the order of the classes

/** Loads the model.

    Throws NoAnswer: it does not arrive. */
export async function load(given) {
  about = given;
  content = await file(about.model_file);
}

/** Starts the model on the graphics processor or else on the processor, and compares its answer to the stored face,
    whose crop is `stored`, with the stored answer. Gives what a visitor should know of it.

    Throws NoAnswer: the model is damaged, or the stored face gets another answer. */
export async function start({ device, stored }) {
  let note = device === "wasm" && navigator.gpu ? `${SLOWER}.` : "";
  if (device === "webgpu") {
    try {
      await startOn(device, ["webgpu", "wasm"], stored);
    } catch (error) {
      note = `${SLOWER}: ${error.message.replace(/\.$/, "")}.`;
    }
  }
  if (device === "wasm" || note) await startOn("wasm", ["wasm"], stored);
  content = null;
  return { note };
}

async function startOn(device, executionProviders, stored) {
  const threads = Math.max(1, Math.min(navigator.hardwareConcurrency - 1, MOST_THREADS));
  const { session, Tensor } = await open(device, executionProviders, content, about.model_file, threads);
  classify = async ({ data, width, height }) => {
    const image = new Tensor("uint8", new Uint8Array(data.buffer), [height, width, 3]);
    return (await session.run({ image })).probabilities.data;
  };
  const { probabilities } = about.self_test;
  const here = await classify(stored);
  if (!probabilities.every((value, index) => Math.abs(here[index] - value) <= SAME_SCORE)) {
    throw new NoAnswer("The model gives another answer to a stored face here than where it was published.", false);
  }
}

/** The answers to the faces that `find` gives; with `explain`, the first ones have a map. */
export async function answer({ faces, explain }) {
  const answers = [];
  for (const face of faces) answers.push(await answerFace(face, explain && answers.length < about.max_maps));
  return answers;
}

async function answerFace({ box, score, picture }, explain) {
  const [left, top, width, height] = box;
  const probabilities = await classify(picture);
  const scores = about.classes.map((label, index) => ({ label, score: probabilities[index] }));
  return {
    box: [left, top, left + width, top + height],
    detection: score,
    scores: scores.sort((a, b) => b.score - a.score),
    crop: await asAddress(opaque(picture), picture),
    ...(explain ? await map(picture, probabilities) : { map: null, map_fall: null }),
  };
}

async function map(picture, probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  const scores = [];
  for (const part of windows(picture.width, picture.height)) {
    scores.push((await classify(cover(picture, part)))[best]);
  }
  const { need, fall } = needed(probabilities[best], scores, picture.width, picture.height);
  return { map: await asAddress(coloured(need), picture), map_fall: fall };
}

function opaque({ data }) {
  const pixels = new Uint8ClampedArray((data.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) pixels.set(data.subarray(from, from + 3), to);
  return pixels;
}

/** A PNG in a `data:` URL. */
async function asAddress(pixels, { width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  const png = await canvas.convertToBlob({ type: "image/png" });
  return new FileReaderSync().readAsDataURL(png);
}
