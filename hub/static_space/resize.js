/** OpenCV's resize and warp of uint8 pictures, in which the face crop is measured. OpenCV 5 computes in float32, so one
    value in a thousand differs by one level of 255.

    A picture is `{ data, width, height }`: `data` holds height * width * 3 values, RGB, row by row, in an array that
    rounds a half to even and cuts off what is below 0 or above 255, as OpenCV does. */

const SHARPNESS = -0.75;  // a of Keys' cubic convolution (1981) in OpenCV
const FAST = 2 ** 20;     // most px between two passes of a warp, 25 MB: a phone has little memory

const clamp = (value, most) => (value < 0 ? 0 : value > most ? most : value);

/** As cvRound: a half goes to the even neighbour. */
export function roundToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 ? below + 1 : below;
}

/** Writes the weights of four neighbours at the share `x` of the way from the second to the third. */
function cubic(x, weights) {
  const near = (t) => ((SHARPNESS + 2) * t - (SHARPNESS + 3)) * t * t + 1;
  const far = (t) => ((SHARPNESS * t - 5 * SHARPNESS) * t + 8 * SHARPNESS) * t - 4 * SHARPNESS;
  weights[0] = far(x + 1);
  weights[1] = near(x);
  weights[2] = near(1 - x);
  weights[3] = far(2 - x);
  return weights;
}

export function emptyPicture(width, height) {
  return { data: new Uint8ClampedArray(width * height * 3), width, height };
}

/** `picture` at another size: area average if it shrinks, bicubic if it grows, as `pipeline/crop.py` asks OpenCV for. */
export function resize(picture, width, height, shrinks) {
  if (picture.width === width && picture.height === height) return picture;
  const [across, down] = [picture.width / width, picture.height / height];
  if (!shrinks) return mix(picture, width, height, cubicTaps(picture.width, width), cubicTaps(picture.height, height));
  if (Number.isInteger(across) && Number.isInteger(down)) return average(picture, across, down);
  return mix(picture, width, height, areaTaps(picture.width, width), areaTaps(picture.height, height));
}

/** Each new place as old places (`from`) and their weights. */
function cubicTaps(length, size) {
  return tapsAt(Array.from({ length: size }, (_, place) => ((place + 0.5) * length) / size - 0.5), length);
}

function tapsAt(positions, length) {
  return positions.map((at) => {
    const first = Math.floor(at);
    return { from: [-1, 0, 1, 2].map((step) => clamp(first + step, length - 1)), weights: cubic(at - first, []) };
  });
}

function areaTaps(length, size) {
  const scale = length / size;
  return Array.from({ length: size }, (_, place) => {
    const [begin, end] = [place * scale, (place + 1) * scale];
    const covered = Math.min(scale, length - begin);
    const last = Math.min(Math.floor(end), length - 1);
    const first = Math.min(Math.ceil(begin), last);
    const taps = Array.from({ length: last - first }, (_, step) => [first + step, 1]);
    if (first - begin > 1e-3) taps.unshift([first - 1, first - begin]);
    if (end - last > 1e-3) taps.push([last, Math.min(end - last, 1, covered)]);
    return { from: taps.map(([index]) => index), weights: taps.map(([, weight]) => weight / covered) };
  });
}

/** Taps in flat arrays, `each` a place: a multiple of four, those that are missing with weight 0. */
function flat(taps) {
  const each = 4 * Math.ceil(Math.max(...taps.map(({ from }) => from.length)) / 4);
  const [from, weights] = [new Int32Array(taps.length * each), new Float64Array(taps.length * each)];
  taps.forEach((tap, place) => {
    from.fill(tap.from[0], place * each, (place + 1) * each);
    from.set(tap.from, place * each);
    weights.set(tap.weights, place * each);
  });
  return { each, from, weights };
}

/** First along the rows that are needed, then along the columns, rounded once. It runs for every frame of a webcam, so
    both passes take four taps at a time and allocate nothing in their loops. */
function mix(picture, newWidth, newHeight, acrossTaps, downTaps) {
  const stride = newWidth * 3;
  const { each, from, weights } = flat(downTaps);
  const top = from.reduce((least, row) => Math.min(least, row), picture.height);
  const bottom = from.reduce((most, row) => Math.max(most, row), 0);
  const rows = mixRows(picture, top, bottom, flat(acrossTaps));
  const mixed = emptyPicture(newWidth, newHeight);
  const sums = new Float64Array(stride);
  for (let y = 0; y < newHeight; y++) {
    sums.fill(0);
    for (let tap = y * each; tap < (y + 1) * each; tap += 4) addRows(sums, rows, tap, from, weights, top);
    mixed.data.set(sums, y * stride);
  }
  return mixed;
}

function addRows(sums, rows, tap, from, weights, top) {
  const [w0, w1, w2, w3] = [weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]];
  const begin = (n) => (from[tap + n] - top) * sums.length;
  const [b0, b1, b2, b3] = [begin(0), begin(1), begin(2), begin(3)];
  for (let x = 0; x < sums.length; x++) {
    sums[x] += w0 * rows[b0 + x] + w1 * rows[b1 + x] + w2 * rows[b2 + x] + w3 * rows[b3 + x];
  }
}

/** The rows `top` to `bottom` of a picture, mixed along them and not rounded. */
function mixRows({ data, width }, top, bottom, { each, from, weights }) {
  const places = from.length / each;
  const rows = new Float64Array((bottom - top + 1) * places * 3);
  for (let y = top, at = 0; y <= bottom; y++) {
    for (let x = 0; x < places; x++, at += 3) {
      for (let tap = x * each; tap < (x + 1) * each; tap += 4) {
        const p0 = 3 * (y * width + from[tap]);
        const p1 = 3 * (y * width + from[tap + 1]);
        const p2 = 3 * (y * width + from[tap + 2]);
        const p3 = 3 * (y * width + from[tap + 3]);
        const w0 = weights[tap];
        const w1 = weights[tap + 1];
        const w2 = weights[tap + 2];
        const w3 = weights[tap + 3];
        rows[at] += w0 * data[p0] + w1 * data[p1] + w2 * data[p2] + w3 * data[p3];
        rows[at + 1] += w0 * data[p0 + 1] + w1 * data[p1 + 1] + w2 * data[p2 + 1] + w3 * data[p3 + 1];
        rows[at + 2] += w0 * data[p0 + 2] + w1 * data[p1 + 2] + w2 * data[p2 + 2] + w3 * data[p3 + 2];
      }
    }
  }
  return rows;
}

/** The mean of blocks of `across` x `down` px. OpenCV rounds a half up for blocks of 2 x 2, and to even for others. */
export function average({ data, width, height }, across, down) {
  const small = emptyPicture(width / across, height / down);
  const up = across === 2 && down === 2 ? 0.1 : 0;  // moves a half up, and no quarter over a half
  for (let row = 0, at = 0; row < small.height; row++) {
    for (let column = 0; column < 3 * small.width; column++, at++) {
      const first = 3 * (row * down * width + Math.floor(column / 3) * across) + (column % 3);
      let sum = 0;
      for (let y = 0; y < down; y++) {
        for (let x = 0; x < across; x++) sum += data[first + 3 * (y * width + x)];
      }
      small.data[at] = sum / (across * down) + up;
    }
  }
  return small;
}

/** `side` x `side` px of `picture`, whose border is repeated outside; `matrix`: 2 x 3, from there to the picture. */
export function warp(picture, matrix, side) {
  const [[xx, xy, x0], [yx, yy, y0]] = matrix;
  if (!xy && !yx && picture.height * side <= FAST) {  // upright: the same in two passes
    const along = (step, begin) => Array.from({ length: side }, (_, place) => step * place + begin);
    return mix(picture, side, side, tapsAt(along(xx, x0), picture.width), tapsAt(along(yy, y0), picture.height));
  }
  const warped = emptyPicture(side, side);
  const taps = { across: new Float64Array(4), down: new Float64Array(4), columns: new Int32Array(4) };
  for (let row = 0, at = 0; row < side; row++) {
    for (let column = 0; column < side; column++, at += 3) {
      sample(picture, xx * column + xy * row + x0, yx * column + yy * row + y0, taps, warped.data, at);
    }
  }
  return warped;
}

/** Nothing is allocated here: it runs for every pixel of every face of a webcam. */
function sample({ data, width, height }, x, y, { across, down, columns }, target, at) {
  const left = Math.floor(x);
  const top = Math.floor(y);
  cubic(x - left, across);
  cubic(y - top, down);
  for (let step = 0; step < 4; step++) columns[step] = 3 * clamp(left - 1 + step, width - 1);
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let line = 0; line < 4; line++) {
    const row = 3 * width * clamp(top - 1 + line, height - 1);
    for (let step = 0; step < 4; step++) {
      const weight = down[line] * across[step];
      const from = row + columns[step];
      red += weight * data[from];
      green += weight * data[from + 1];
      blue += weight * data[from + 2];
    }
  }
  target[at] = red;
  target[at + 1] = green;
  target[at + 2] = blue;
}
