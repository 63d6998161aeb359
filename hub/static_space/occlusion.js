/** Where the model looked: `covered`, `needed` and `draw_map` of `hub/server/faces.py`. */

import { roundToEven } from "./resize.js";

const WINDOWS = 7;  // windows along a side, each a quarter of it: 49 pictures go through the model
const GRAY = 127;   // what covers a window
const RED = [255, 32, 0];
const STRONGEST = 190;  // alpha where the map is 1

/** Windows [left, top, right, bottom] that overlap by half and cover everything, row by row. */
export function windows(width, height) {
  const along = (side) => {
    const length = Math.ceil(side / 4);
    const begin = (place) => roundToEven((place * (side - length)) / (WINDOWS - 1));
    return Array.from({ length: WINDOWS }, (_, place) => [begin(place), begin(place) + length]);
  };
  return along(height).flatMap(([top, bottom]) => along(width).map(([left, right]) => [left, top, right, bottom]));
}

/** The picture with a gray window. */
export function cover({ data, width, height }, [left, top, right, bottom]) {
  const covered = { data: data.slice(), width, height };
  for (let y = top; y < bottom; y++) covered.data.fill(GRAY, 3 * (y * width + left), 3 * (y * width + right));
  return covered;
}

/** The map, 0 to 1 row by row: mean loss of the score `whole` over the windows that cover a pixel; and its largest. */
export function needed(whole, scores, width, height) {
  const [loss, count] = [new Float64Array(width * height), new Float64Array(width * height)];
  windows(width, height).forEach(([left, top, right, bottom], index) => {
    for (let y = top; y < bottom; y++) {
      for (let at = y * width + left; at < y * width + right; at++) {
        loss[at] += whole - scores[index];
        count[at] += 1;
      }
    }
  });
  const mean = loss.map((sum, at) => Math.max(sum / count[at], 0));
  const fall = mean.reduce((most, value) => Math.max(most, value), 0);
  return { need: mean.map((value) => value / Math.max(fall, 1e-9)), fall };
}

/** The map as four values a pixel: red, and clear where it is 0. */
export function coloured(need) {
  const data = new Uint8ClampedArray(4 * need.length);
  need.forEach((value, at) => data.set([...RED, roundToEven(STRONGEST * value)], 4 * at));
  return data;
}
