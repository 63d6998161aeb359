/** Milliseconds on the processor that each part of a webcam's frame takes; see browser_parts.py. Prints JSON. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [WARM_UP, TIMES] = [10, 40];
const space = pathToFileURL(`${process.argv[2]}/`);
const { width, height, frames } = JSON.parse(readFileSync(0, "utf8"));
const read = (name) => readFileSync(new URL(name, space));
const about = JSON.parse(read("model/about.json"));
const { withoutAlpha } = await import(new URL("page/decoding.js", space));
const { blobOf, cropFace, findFaces } = await import(new URL("page/faces.js", space));
const { resize, roundToEven } = await import(new URL("page/resize.js", space));
const ort = await import(new URL("onnxruntime-web/ort.wasm.min.mjs", space));
ort.env.wasm.wasmPaths = new URL("onnxruntime-web/", space).href;
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = new Uint8Array(read("onnxruntime-web/ort-wasm-simd-threaded.wasm")).buffer;

const open = (name) => ort.InferenceSession.create(new Uint8Array(read(`model/${name}`)), { executionProviders: ["wasm"] });
const detector = await open(about.detector_file);
const model = await open(about.model_file);

async function detect({ values, width: wide, height: high }) {
  const input = new ort.Tensor("float32", values, [1, 3, high, wide]);
  const outputs = await detector.run({ [detector.inputNames[0]]: input });
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
}

async function measured(run) {
  const took = [];
  for (let time = 0; time < WARM_UP + TIMES; time++) {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    if (time >= WARM_UP) took.push((user + system) / 1000);
  }
  return took.sort((a, b) => a - b)[TIMES / 2];
}

const result = {};
for (const [name, pixels] of Object.entries(frames)) {
  const frame = { data: new Uint8ClampedArray(Buffer.from(pixels, "base64")), width, height };
  const photo = withoutAlpha(frame);
  const scale = about.crop.coarse / Math.max(width, height);
  const small = () => resize(photo, roundToEven(width * scale), roundToEven(height * scale), scale < 1);
  const input = blobOf(small());
  const [face] = await findFaces(photo, about.crop, detect);
  const parts = { "drop transparency": () => withoutAlpha(frame), "resize for the detector": small, detector: () => detect(input) };
  if (face) {
    const crop = cropFace(photo, face, about.crop, about.size, about.align);
    const image = new ort.Tensor("uint8", new Uint8Array(crop.data.buffer), [crop.height, crop.width, 3]);
    parts["cut out"] = () => cropFace(photo, face, about.crop, about.size, about.align);
    parts.model = () => model.run({ image });
  }
  const took = [];
  for (const [part, run] of Object.entries(parts)) took.push([part, await measured(run)]);
  result[name] = { box: face ? face.box[2] : 0, parts: Object.fromEntries(took) };
}
console.log(JSON.stringify(result));
