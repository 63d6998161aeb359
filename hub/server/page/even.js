/** The switch that counts all expressions as equally frequent: scores as `--class_shares uniform --tau 0.5` gives them. */

import { bestOf, byId, percent } from "./dom.js";

const TAU = 0.5;  // how far scores go from the shares of training to equal ones: half the way

let shares = null;  // label -> the share that the model's scores assume; null: it does not say them
let below = 0;      // the answer is "not sure" below this score

/** Shows the switch for a model that says what it was trained with, and says what the switch does. */
export function offerEven({ assumed_shares: assumed = null, not_sure_below: threshold = 0 }) {
  if (!assumed) return;
  [shares, below] = [assumed, threshold];
  const ranked = Object.entries(shares).sort((a, b) => b[1] - a[1]);
  const [[most, large], [least, small]] = [ranked[0], ranked.at(-1)];
  byId("even-note").textContent = `The scores are for pictures of which ${percent(large)} are ${most} and ` +
    `${percent(small)} ${least}, so an unclear face is rather called ${most}. With the switch on, each score is ` +
    "divided by the square root of its share, and all are scaled to sum to 100 %. Rare expressions are then named " +
    "more often: rightly in pictures that have many of them, wrongly in others. A map of where the model looked " +
    "explains its own first answer, and is left out where another one is shown.";
  byId("even").closest(".switch").hidden = false;
}

/** A face with its scores as they are shown, by the switch. */
export const evenly = (face) => (shares && byId("even").checked ? even(face, shares, below) : face);

/** The face with scores for equal shares. A map of another first answer than the one shown is left out. */
export function even(face, assumed, threshold) {
  const raised = face.scores.map(({ label, score }) => ({ label, score: score / assumed[label] ** TAU }));
  const sum = raised.reduce((total, { score }) => total + score, 0);
  const scores = raised.map(({ label, score }) => ({ label, score: score / sum }));
  const [first] = bestOf(scores);
  const map = first.label === bestOf(face.scores)[0].label ? face.map : null;
  return { ...face, scores, map, sure: first.score >= threshold };
}
