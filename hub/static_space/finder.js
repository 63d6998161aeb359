/** The worker's first task: from a picture to its faces and their crops, in the detector's own session. */

import { decode, withoutAlpha } from "./decoding.js";
import { cropFace, findFaces, largest } from "./faces.js";
import { FrameFaces } from "./frames.js";
import { NoAnswer } from "./no_answer.js";
import { file, open } from "./runtime.js";

const SAME_PLACE = 0.5;  // px, largest difference from the stored box

let about;
let detect;  // YuNet's outputs for its input
const frames = new FrameFaces((photo) => findFaces(photo, about.crop, detect));

/** Loads the detector, and gives the crop of the face with which the page tests itself.

    Throws NoAnswer: a file is missing or damaged, or the stored face is found elsewhere. */
export async function start({ device, ...given }) {
  about = given;
  const content = await file(about.detector_file);
  const { session, Tensor } = await open(device, ["wasm"], content, about.detector_file, 1);
  detect = async ({ values, width, height }) => {
    const input = new Tensor("float32", values, [1, 3, height, width]);
    const outputs = await session.run({ [session.inputNames[0]]: input });
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
  };
  const stored = new Blob([await file(about.self_test.picture)]);
  const [face] = (await find(stored)).faces;
  const apart = (edge, at) => Math.abs(edge - about.self_test.box[at]);
  if (!face?.box.every((edge, at) => apart(edge, at) <= SAME_PLACE)) {
    throw new NoAnswer("The face detector answers otherwise here than where the model was published.", false);
  }
  return face.picture;
}

/** The largest faces of `picture` (a file, or a webcam's frame: `{ data, width, height }` with four values a pixel), each
    with its `picture`: the crop that the model sees. */
export async function find(picture) {
  const isFile = picture instanceof Blob;
  const photo = isFile ? await decode(picture, about.max_pixels) : withoutAlpha(picture);
  const all = await (isFile ? findFaces(photo, about.crop, detect) : frames.of(photo, performance.now()));
  const found = largest(all, about.max_faces);
  const faces = found.map((face) => ({ ...face, picture: cropFace(photo, face, about.crop, about.size, about.align) }));
  return { width: photo.width, height: photo.height, faces };
}
