/** How large a picture is, by the head of its file: a small file can hold more pixels than a browser has memory for. */

const SEGMENTS = 1000;  // most parts of a JPEG before its size
const RESTART = new Set([0x01, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]);  // markers without a length
const NO_FRAME = new Set([0xc4, 0xc8, 0xcc]);  // from 0xc0 to 0xcf, all other markers begin a frame
const LITTLE = true;

const READERS = {
  PNG: (head) => [head.getUint32(16), head.getUint32(20)],
  GIF: (head) => [head.getUint16(6, LITTLE), head.getUint16(8, LITTLE)],
  BMP: (head) => (head.getUint32(14, LITTLE) === 12
    ? [head.getUint16(18, LITTLE), head.getUint16(20, LITTLE)]
    : [head.getInt32(18, LITTLE), Math.abs(head.getInt32(22, LITTLE))]),
  WebP: webp,
};

/** Width and height that a file of this format states, before EXIF turns it; null where its head does not state them. */
export async function sizeOf(file, format) {
  try {
    if (format === "JPEG") return await jpeg(file);
    return READERS[format]?.(await bytes(file, 0, 64)) ?? null;
  } catch (error) {
    if (error instanceof RangeError) return null;  // the file is cut off
    throw error;
  }
}

const bytes = async (file, from, count) => new DataView(await file.slice(from, from + count).arrayBuffer());

function webp(head) {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => head.getUint8(at)));
  const three = (at) => head.getUint16(at, LITTLE) + 65536 * head.getUint8(at + 2) + 1;
  if (kind === "VP8X") return [three(24), three(27)];
  if (kind === "VP8 ") return [head.getUint16(26, LITTLE) & 0x3fff, head.getUint16(28, LITTLE) & 0x3fff];
  const packed = head.getUint32(21, LITTLE);
  return [(packed & 0x3fff) + 1, ((packed >>> 14) & 0x3fff) + 1];
}

/** From marker to marker to the one that begins the frame. */
async function jpeg(file) {
  for (let at = 2, part = 0; part < SEGMENTS; part++) {
    const head = await bytes(file, at, 9);
    const marker = head.getUint8(1);
    if (marker >= 0xc0 && marker <= 0xcf && !NO_FRAME.has(marker)) return [head.getUint16(7), head.getUint16(5)];
    if (marker === 0xff) at += 1;  // filling
    else at += 2 + (RESTART.has(marker) ? 0 : head.getUint16(2));
  }
  return null;
}
