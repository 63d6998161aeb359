/** From a file to pixels as training reads them: upright by EXIF, first frame, no colour management, transparency
    dropped and not mixed into the colours. */

import { FORMATS, inspect } from "./formats.js";
import { NoAnswer } from "./no_answer.js";
import { emptyPicture } from "./resize.js";
import { sizeOf } from "./sizes.js";

/** The picture `{ data, width, height }` in a file.

    Throws NoAnswer: the browser cannot read it, or not as training does, or it has more than `maxPixels`. */
export async function decode(file, maxPixels) {
  const { format, deepGray, turned } = await inspect(file);
  if (!format) refuse(`The file is not a ${FORMATS.slice(0, -1).join(", ")} or ${FORMATS.at(-1)} picture.`);
  if (deepGray) refuse("The picture has more than 8 bits in one channel. Save it with 8 bits.");
  if (turned) refuse("A tag turns this WebP picture, and browsers do not read it. Save it as JPEG or PNG.");
  refuseTooLarge(await sizeOf(file, format), maxPixels);
  const asStored = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
  const bitmap = await createImageBitmap(file, asStored).catch(() => {
    refuse(`This browser cannot read the file: it is damaged, or the browser does not read ${format}. Try a JPEG or PNG.`);
  });
  try {
    refuseTooLarge([bitmap.width, bitmap.height], maxPixels);
    const pixels = drawn(bitmap);
    if (isOpaque(pixels.data)) return withoutAlpha(pixels);
    if (format === "GIF") refuse("Browsers do not keep the colours of a GIF where it is clear. Save it as PNG or JPEG.");
    return withoutAlpha(unmixed(bitmap));
  } finally {
    bitmap.close();
  }
}

/** Before it is decoded where its file states the size, and after: a browser may end a worker that needs too much. */
function refuseTooLarge(size, maxPixels) {
  const [width, height] = size ?? [0, 0];
  if (width * height > maxPixels) refuse(`The picture is too large (${width} x ${height}). Make it smaller.`);
}

function refuse(reason) {
  throw new NoAnswer(reason, false);
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
    refuse("This browser cannot read this transparent picture exactly. Save it without transparency.");
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
