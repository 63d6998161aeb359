/** Find the faces of a photo and cut them out: `pipeline/crop.py`, whose numbers arrive as `crop`, without OpenCV. */

import { average, resize, roundToEven, warp } from "./resize.js";

const STRIDES = [8, 16, 32];  // px of YuNet's input that one cell of each of its three grids covers
const PADDED = 32;            // the sides of its input are multiples of this

/** The faces of `photo`, best score first; `detect` gives YuNet's outputs for its input. */
export async function findFaces(photo, crop, detect) {
  const longer = Math.max(photo.width, photo.height);
  for (const side of [crop.coarse, Math.min(longer, crop.fine)]) {
    const faces = await facesAt(photo, side, crop, detect);
    if (faces.length) return faces;
  }
  return [];
}

async function facesAt(photo, side, crop, detect) {
  const scale = side / Math.max(photo.width, photo.height);
  const [width, height] = [photo.width, photo.height].map((length) => Math.max(1, roundToEven(length * scale)));
  const input = blobOf(resize(photo, width, height, scale < 1));
  const found = notOverlapping(decode(await detect(input), input, crop.score), crop);
  return found.map((face) => enlarge(face, photo.width / width, photo.height / height));
}

/** YuNet's input `(1, 3, height, width)`, blue first, 0 to 255, with black at its right and lower edge. */
export function blobOf({ data, width, height }) {
  const [wide, high] = [width, height].map((side) => Math.ceil(side / PADDED) * PADDED);
  const values = new Float32Array(3 * high * wide);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        values[((2 - channel) * high + y) * wide + x] = data[3 * (y * width + x) + channel];
      }
    }
  }
  return { values, width: wide, height: high };
}

/** The candidates with at least the score `least`, in px of the input (Wu et al. 2023, doi:10.1007/s11633-023-1423-y). */
export function decode(outputs, { width, height }, least) {
  const faces = [];
  for (const stride of STRIDES) {
    const [shown, is, box, points] = ["cls", "obj", "bbox", "kps"].map((name) => outputs[`${name}_${stride}`]);
    const columns = width / stride;
    for (let cell = 0; cell < columns * (height / stride); cell++) {
      const score = Math.sqrt(share(shown[cell]) * share(is[cell]));
      if (score < least) continue;
      const [column, row] = [cell % columns, Math.floor(cell / columns)];
      const [x, y] = [(column + box[4 * cell]) * stride, (row + box[4 * cell + 1]) * stride];
      const [wide, high] = [Math.exp(box[4 * cell + 2]) * stride, Math.exp(box[4 * cell + 3]) * stride];
      const point = (n) => [(column + points[10 * cell + n]) * stride, (row + points[10 * cell + n + 1]) * stride];
      faces.push({ box: [x - wide / 2, y - high / 2, wide, high], rightEye: point(0), leftEye: point(2), score });
    }
  }
  return faces;
}

const share = (value) => Math.min(Math.max(value, 0), 1);

/** Drops the worse of two boxes that overlap too much, best first. OpenCV compares boxes of whole px. */
export function notOverlapping(faces, crop) {
  const sorted = [...faces].sort((a, b) => b.score - a.score).slice(0, crop.candidates);
  const kept = [];
  for (const face of sorted) {
    if (kept.every((other) => overlap(other.box, face.box) <= crop.overlap)) kept.push(face);
  }
  return kept;
}

function overlap(one, other) {
  const [a, b] = [one, other].map((box) => box.map(Math.trunc));
  const along = (i) => Math.max(0, Math.min(a[i] + a[i + 2], b[i] + b[i + 2]) - Math.max(a[i], b[i]));
  const both = along(0) * along(1);
  return both / (a[2] * a[3] + b[2] * b[3] - both || 1);
}

function enlarge({ box, rightEye, leftEye, score }, across, down) {
  const move = ([x, y]) => [x * across, y * down];
  return { box: [...move(box), ...move(box.slice(2))], rightEye: move(rightEye), leftEye: move(leftEye), score };
}

/** The `most` largest faces, largest first. */
export function largest(faces, most) {
  const area = ({ box }) => box[2] * box[3];
  return [...faces].sort((a, b) => area(b) - area(a)).slice(0, most);
}

/** Where the crop is in the photo: 2 x 3, from its unit square to px of the photo. With `align` the eyes are level. */
export function framing(face, crop, align) {
  const [left, top, width, height] = face.box;
  const side = Math.sqrt((width * height) / (crop.box_width * crop.box_height));
  const [x, y] = [face.leftEye[0] - face.rightEye[0], face.leftEye[1] - face.rightEye[1]];
  const roll = align ? Math.atan2(y, x) : 0;
  const [cos, sin] = [side * Math.cos(roll), side * Math.sin(roll)];
  const [u, v] = crop.box_centre;
  return [
    [cos, -sin, left + width / 2 - (cos * u - sin * v)],
    [sin, cos, top + height / 2 - (sin * u + cos * v)],
  ];
}

/** The crop of `framing`, `size` px on each side, sampled finer and averaged so that a large photo does not alias. */
export function cropFace(photo, face, crop, size, align) {
  const toPhoto = framing(face, crop, align);
  const times = Math.max(1, Math.ceil(Math.hypot(toPhoto[0][0], toPhoto[1][0]) / size));
  const fine = size * times;
  const matrix = toPhoto.map(([a, b, origin]) => {
    const [across, down] = [a / fine, b / fine];
    return [across, down, origin + (across + down) / 2 - 0.5];  // from the centre of a pixel to that of another
  });
  const sampled = warp(photo, matrix, fine);
  return times === 1 ? sampled : average(sampled, times, times);
}
