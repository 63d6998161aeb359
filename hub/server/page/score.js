/** How a score is shown: as a percentage of a class, or as a number in the unit of a model of scores. */

import { byId, percent } from "./dom.js";

const DIGITS = 3;
const LEAD = "Estimates scores of what a face in a picture shows. It cannot tell what a person feels. Do not decide " +
  "anything about a person with it.";
const READING = "The numbers are the model’s scores for one crop of a face, in the unit of the data that it was trained " +
  "on. They are not probabilities, and a bar only shows where a score lies in the range of that data.";

let ranges = null;  // of a model of scores: the lowest and highest value of each in train

export const ofClasses = () => !ranges;
export const shown = (score) => (ranges ? score.toPrecision(DIGITS) : percent(score));

/** The length of a score's bar, from 0 to 1. */
export function share(label, score) {
  const [low, high] = ranges?.[label] ?? [0, 1];
  return Math.min(Math.max((score - low) / (high - low), 0), 1);
}

/** What the model answers with, in words; the page then speaks of scores where the model does. */
export function answersWith({ classes, score_ranges: given = null }) {
  ranges = given;
  if (!ranges) return `It chooses from: ${classes.join(", ")}.`;
  byId("lead").textContent = LEAD;
  byId("reading").textContent = READING;
  byId("explain").closest(".switch").hidden = true;  // there is no first answer to explain
  const ends = (name) => ranges[name].map((end) => end.toPrecision(DIGITS)).join(" to ");
  return `It answers with the scores: ${classes.map((name) => `${name} (${ends(name)} in its training)`).join(", ")}.`;
}
