/** Answers pictures beside the page, one after the other, in the form of `POST /predict` of the server. */

import { decode, withoutAlpha } from "./decoding.js";
import { load } from "./model.js";
import { coloured, cover, needed, windows } from "./occlusion.js";
import { NoAnswer } from "./no_answer.js";

let about;
let model;
let last = Promise.resolve();  // a session runs one picture at a time

async function start(given) {
  about = given;
  model = await load(about);
  return { note: model.note };
}

/** `picture`: a file, or `{ data, width, height }` with four values a pixel. */
async function answer({ picture, explain }) {
  const photo = picture instanceof Blob ? await decode(picture, about.max_pixels) : withoutAlpha(picture);
  const found = await model.find(photo);
  const faces = [];
  for (const face of found) faces.push(await answerFace(face, explain && faces.length < about.max_maps));
  return { width: photo.width, height: photo.height, message: faces.length ? null : about.no_face, faces };
}

async function answerFace({ box, score, picture }, explain) {
  const [left, top, width, height] = box;
  const probabilities = await model.classify(picture);
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
    scores.push((await model.classify(cover(picture, part)))[best]);
  }
  const { need, fall } = needed(probabilities[best], scores, picture.width, picture.height);
  return { map: await asAddress(coloured(need), picture), map_fall: fall };
}

function opaque({ data }) {
  const pixels = new Uint8ClampedArray((data.length / 3) * 4).fill(255);
  data.forEach((value, at) => { pixels[4 * Math.floor(at / 3) + (at % 3)] = value; });
  return pixels;
}

/** A PNG in a `data:` URL. */
async function asAddress(pixels, { width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  const png = await canvas.convertToBlob({ type: "image/png" });
  return new FileReaderSync().readAsDataURL(png);
}

const TASKS = { start, answer };

self.addEventListener("message", ({ data: { id, task, ...given } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, result: await TASKS[task](given.value) });
    } catch (error) {
      const message = error instanceof NoAnswer ? error.message : `The browser could not answer: ${error.message}`;
      self.postMessage({ id, refusal: message });
    }
  });
});
