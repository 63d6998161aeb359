/** Where the number of a face stands: beside its box, not on its brow, and not on another face. */

const BADGE = 28;  // px, with its distance from the box
const SIDES = {
  right: ([, top, right], size) => [right, top, right + size, top + size],
  left: ([left, top], size) => [left - size, top, left, top + size],
  above: ([left, top], size) => [left, top - size, left + size, top],
  below: ([left, , , bottom], size) => [left, bottom, left + size, bottom + size],
};

const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/** The first side of `box` (px in the shown picture) on which the badge is in the picture and on no other box; if there
    is none, its `inside` lower corner: there is chin or collar, and no brow. */
export function badgeSide(box, others, width, height) {
  const fits = (place) => place[0] >= 0 && place[1] >= 0 && place[2] <= width && place[3] <= height;
  const free = (place) => fits(place) && !others.some((other) => meet(place, other));
  return Object.keys(SIDES).find((side) => free(SIDES[side](box, BADGE))) ?? "inside";
}
