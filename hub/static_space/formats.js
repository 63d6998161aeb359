/** What a file is, by its content and not its name: the formats that the server takes, and what in them browsers read
    otherwise than training does. */

const STARTS = {
  JPEG: /^\xff\xd8\xff/, PNG: /^\x89PNG\r\n\x1a\n/, WebP: /^RIFF[^]{4}WEBP/, GIF: /^GIF8[79]a/, BMP: /^BM/,
  AVIF: /^[^]{4}ftyp[^]{0,64}avi[fs]/,
};
const HEAD = 80;                 // bytes that tell the format
const [DEPTH, KIND] = [24, 25];  // where a PNG says how many bits a channel has, and which channels there are
const GRAY = 0;                  // without transparency; with it, every reader takes the upper 8 bits
const ORIENTATION = 0x0112;      // tag of EXIF
const UPRIGHT = 1;

export const FORMATS = Object.keys(STARTS);

/** `{ format, deepGray, turned }` of a file: a key of FORMATS or undefined; whether it is gray with 16 bits; whether a tag
    turns it that browsers do not follow. */
export async function inspect(file) {
  const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  const text = String.fromCharCode(...head);
  const format = FORMATS.find((name) => STARTS[name].test(text));
  return {
    format,
    deepGray: format === "PNG" && head[DEPTH] === 16 && head[KIND] === GRAY,
    turned: format === "WebP" && orientationOf(new DataView(await file.arrayBuffer())) !== UPRIGHT,
  };
}

/** The orientation in the EXIF chunk of a WebP file; UPRIGHT without one, or if it cannot be read. */
function orientationOf(webp) {
  const name = (at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => webp.getUint8(at + i)));
  try {
    for (let at = 12; at + 8 <= webp.byteLength;) {
      const length = webp.getUint32(at + 4, true);
      if (name(at) === "EXIF") return inTiff(webp, at + 8 + (name(at + 8) === "Exif" ? 6 : 0));
      at += 8 + length + (length % 2);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;  // the file is cut off
  }
  return UPRIGHT;
}

function inTiff(data, start) {
  const little = data.getUint8(start) === 0x49;  // "II"
  const first = start + data.getUint32(start + 4, little);
  for (let entry = 0; entry < data.getUint16(first, little); entry++) {
    const at = first + 2 + 12 * entry;
    if (data.getUint16(at, little) !== ORIENTATION) continue;
    const found = data.getUint16(at + 8, little);
    return found >= 1 && found <= 8 ? found : UPRIGHT;
  }
  return UPRIGHT;
}
