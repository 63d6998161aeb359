/** Faces over the frames of a webcam: numbers that stay, scores that do not flicker. */

const SAME_FACE = 0.3;      // least overlap (intersection over union) of one face in two frames
const SMOOTHING_MS = 600;   // time constant of the average; in time, not frames, so that slow answers lag no more
const FORGET_MS = 1000;     // a face out of view for longer is gone

/** Intersection over union of two boxes [left, top, right, bottom]. */
export function overlap(a, b) {
  const area = (box) => Math.max(box[2] - box[0], 0) * Math.max(box[3] - box[1], 0);
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return shared / (area(a) + area(b) - shared || 1);
}

/** The faces in view. A face of a frame joins the one that it overlaps most, the best pairs first, and its scores join
    the average of that face. */
export class Tracker {
  faces = [];

  /** Takes the faces found in a frame at `now` (ms); returns those that have left. */
  update(found, now) {
    const pairs = this.faces.flatMap((known) => found.map((face) => ({ known, face, by: overlap(known.box, face.box) })));
    const joined = new Set();
    for (const { known, face, by } of pairs.sort((a, b) => b.by - a.by)) {
      if (by < SAME_FACE || joined.has(known) || joined.has(face)) continue;
      joined.add(known).add(face);
      blend(known, face, now);
    }
    for (const face of found) {
      if (!joined.has(face)) this.faces.push(this.begin(face, now));
    }
    const gone = this.faces.filter((face) => now - face.seen > FORGET_MS);
    this.faces = this.faces.filter((face) => !gone.includes(face));
    return gone;
  }

  begin(face, now) {
    let number = 1;
    while (this.faces.some((other) => other.number === number)) number++;
    const scores = [...face.scores].sort((a, b) => a.label.localeCompare(b.label));
    return { ...face, scores, number, seen: now };
  }
}

function blend(known, face, now) {
  const weight = 1 - Math.exp(-(now - known.seen) / SMOOTHING_MS);
  const fresh = new Map(face.scores.map(({ label, score }) => [label, score]));
  const nearer = ({ label, score }) => ({ label, score: score + weight * (fresh.get(label) - score) });
  const scores = known.scores.map(nearer);
  Object.assign(known, face, { scores, seen: now });
}
