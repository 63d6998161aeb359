/** Does one of two tasks beside the page: finding faces, or classifying them. The page starts two workers, so that the
    faces of one picture are found while those of the picture before are classified. */

import * as classifier from "./classifier.js";
import * as finder from "./finder.js";
import { NoAnswer } from "./no_answer.js";

const TASKS = {
  startFinder: finder.start, find: finder.find,
  loadModel: classifier.load, startClassifier: classifier.start, answer: classifier.answer,
};

let last = Promise.resolve();  // a session runs one picture at a time

self.addEventListener("message", ({ data: { id, task, value } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, result: await TASKS[task](value) });
    } catch (error) {
      const message = error instanceof NoAnswer ? error.message : `The browser could not answer: ${error.message}`;
      self.postMessage({ id, refusal: message });
    }
  });
});
