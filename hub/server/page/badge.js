/** Where the number of a face stands: beside its box, not on its brow, and not on another face. */

const BADGE = 28;  // px, with its distance from the box
const SIDES = {
  right: ([, top, right], size) => [right, top, right + size, top + size],
  left: ([left, top], size) => [left - size, top, left, top + size],
  above: ([left, top], size) => [left, top - size, left + size, top],
  below: ([left, , , bottom], size) => [left, bottom, left + size, bottom + size],
};

const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/** For each box (px in the shown picture) the first side on which the badge is in the picture, on no other box and on no
    badge of a box before; if there is none, its `inside` lower corner: there is chin or collar, and no brow. */
export function badgeSides(boxes, width, height) {
  const fits = (place) => place[0] >= 0 && place[1] >= 0 && place[2] <= width && place[3] <= height;
  const badges = [];
  return boxes.map((box) => {
    const taken = [...boxes.filter((other) => other !== box), ...badges];
    const free = (place) => fits(place) && !taken.some((other) => meet(place, other));
    const found = Object.keys(SIDES).find((side) => free(SIDES[side](box, BADGE)));
    if (found) badges.push(SIDES[found](box, BADGE));
    return found ?? "inside";
  });
}
