/** From a file to pixels as training reads them: upright by EXIF, first frame, no colour management, transparency
    dropped and not mixed into the colours. */

import { emptyPicture } from "./resize.js";
import { NoAnswer } from "./no_answer.js";

const PNG = [0x89, 0x50, 0x4e, 0x47];
const [DEPTH, KIND] = [24, 25];  // where a PNG says how many bits a channel has, and which channels there are
const GRAY = [0, 4];             // without and with transparency

/** The picture `{ data, width, height }` in a file.

    Throws NoAnswer: the browser cannot read it, or it has more than `maxPixels`. */
export async function decode(file, maxPixels) {
  await refuseDeepGray(file);
  const asStored = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
  const bitmap = await createImageBitmap(file, asStored).catch(() => {
    throw new NoAnswer("This browser cannot read the file as a picture. Try a JPEG or PNG.", false);
  });
  try {
    if (bitmap.width * bitmap.height > maxPixels) {
      throw new NoAnswer(`The picture is too large (${bitmap.width} x ${bitmap.height}). Make it smaller.`, false);
    }
    const pixels = drawn(bitmap);
    return withoutAlpha(isOpaque(pixels.data) ? pixels : unmixed(bitmap));
  } finally {
    bitmap.close();
  }
}

/** The picture in `{ data, width, height }` with four values a pixel. */
export function withoutAlpha({ data, width, height }) {
  const picture = emptyPicture(width, height);
  for (let from = 0, to = 0; to < picture.data.length; from += 4, to += 3) {
    picture.data[to] = data[from];
    picture.data[to + 1] = data[from + 1];
    picture.data[to + 2] = data[from + 2];
  }
  return picture;
}

/** Training refuses gray of 16 bits, which one reader clips and another scales. */
async function refuseDeepGray(file) {
  const head = new Uint8Array(await file.slice(0, KIND + 1).arrayBuffer());
  if (PNG.every((byte, i) => head[i] === byte) && head[DEPTH] === 16 && GRAY.includes(head[KIND])) {
    throw new NoAnswer("The picture has more than 8 bits in one channel. Save it with 8 bits.", false);
  }
}

function drawn(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  canvas.drawImage(bitmap, 0, 0);
  return canvas.getImageData(0, 0, bitmap.width, bitmap.height);
}

function isOpaque(data) {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return false;
  return true;
}

/** A 2D canvas multiplies colours by their alpha and loses those of clear pixels; a WebGL texture keeps them. */
function unmixed(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    throw new NoAnswer("This browser cannot read this transparent picture exactly. Save it without transparency.", false);
  }
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const data = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return { data, width, height };
}
