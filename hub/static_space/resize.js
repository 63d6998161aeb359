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

/** First along the rows, then along the columns, rounded once. Plain loops: it runs for every frame of a webcam. */
function mix({ data, width, height }, newWidth, newHeight, across, down) {
  const stride = newWidth * 3;
  const rows = new Float64Array(height * stride);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < newWidth; x++, at += 3) {
      const taps = across[x];
      for (let tap = 0; tap < taps.from.length; tap++) {
        const weight = taps.weights[tap];
        const place = 3 * (y * width + taps.from[tap]);
        rows[at] += weight * data[place];
        rows[at + 1] += weight * data[place + 1];
        rows[at + 2] += weight * data[place + 2];
      }
    }
  }
  const mixed = emptyPicture(newWidth, newHeight);
  const sums = new Float64Array(stride);
  down.forEach(({ from, weights }, y) => {
    sums.fill(0);
    for (let tap = 0; tap < from.length; tap++) {
      const weight = weights[tap];
      const begin = from[tap] * stride;
      for (let x = 0; x < stride; x++) sums[x] += weight * rows[begin + x];
    }
    mixed.data.set(sums, y * stride);
  });
  return mixed;
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
