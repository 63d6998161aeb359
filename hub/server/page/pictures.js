/** Chosen, dropped or pasted pictures: each gets a card and is asked about, a few at a time. */

import { predict } from "./answers.js";
import { Card } from "./card.js";
import { bestOf, byId, count, element, pause, say } from "./dom.js";
import { evenly } from "./even.js";
import { FacePanel } from "./face_panel.js";
import { NoAnswer } from "./no_answer.js";

const PARALLEL = 2;  // pictures under way at once: enough to keep a server busy, few enough to be polite

let cards = [];
let reading = 0;

class PictureCard extends Card {
  constructor(file) {
    const image = element("img", { alt: file.name });
    super(file.name || "pasted picture", image);
    this.file = file;
    this.address = URL.createObjectURL(file);
    image.addEventListener("load", () => this.size(image.naturalWidth, image.naturalHeight));
    image.addEventListener("error", () => { this.picture.hidden = true; });
    image.src = this.address;
    this.image = image;
  }

  async ask() {
    this.aborter?.abort();
    const { signal } = (this.aborter = new AbortController());
    this.message("Looking for faces…");
    try {
      const answer = await predict(this.file, this.name, { explain: byId("explain").checked, signal });
      if (!signal.aborted) this.show(answer);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof NoAnswer)) throw error;
      this.fail(error);
    }
  }

  show(answer) {
    this.faces = answer.faces.length;
    this.size(answer.width, answer.height);
    this.time(answer);
    this.image.alt = `${this.name}, with ${count(this.faces, "face")} marked`;
    this.picture.querySelectorAll(".box").forEach((box) => box.remove());
    if (this.faces === 0) {
      this.message(answer.message ?? "No face was found.");
      return;
    }
    this.answer.replaceChildren();
    const panels = answer.faces.map((face, index) => this.showFace(evenly(face), index + 1));
    this.place(panels, answer.faces.map((face) => face.box), answer);
    this.summary = `${panels.map((panel) => `face ${panel.number}: ${panel.text}`).join(", ")}.`;
  }

  showFace(face, number) {
    const scores = bestOf(face.scores);
    const panel = new FacePanel(number, scores.map((row) => row.label));
    panel.update({ ...face, scores });
    this.add(panel);
    return panel;
  }

  fail(error) {
    this.faces = undefined;
    this.latency.textContent = "";
    this.picture.querySelectorAll(".box").forEach((box) => box.remove());
    this.message(error.message);
    if (!error.again) return;
    const again = element("button", { type: "button" }, "Try again");
    again.addEventListener("click", () => read([this]));
    this.answer.querySelector(".message").append(again);
    countDown(again, error.waitSeconds);
  }

  close() {
    this.aborter?.abort();
    URL.revokeObjectURL(this.address);
  }
}

async function countDown(button, seconds) {
  button.disabled = true;
  for (let left = seconds; left > 0; left--) {
    button.textContent = `Try again in ${left} s`;
    await pause(1000);
  }
  button.textContent = "Try again";
  button.disabled = false;
}

export function clear() {
  cards.forEach((card) => card.close());
  cards = [];
  byId("cards").replaceChildren();
  byId("results").setAttribute("aria-busy", "false");
  byId("tools").hidden = byId("reading").hidden = true;
  say("");
}

export function openResults() {
  byId("tools").hidden = false;
  byId("results").scrollIntoView({ block: "start" });
}

export function showFiles(files) {
  clear();
  cards = [...files].map((file) => new PictureCard(file));
  openResults();
  read(cards);
}

/** Asks again about all pictures, such as with a map. */
export function readAgain() {
  if (cards.length) read(cards);
}

async function read(asked) {
  reading++;
  byId("results").setAttribute("aria-busy", "true");
  say(`Reading ${count(asked.length, "picture")}…`);
  const waiting = [...asked];
  const work = async () => {
    while (waiting.length) {
      const card = waiting.shift();
      if (cards.includes(card)) await card.ask(); // else it was cleared while it waited
    }
  };
  try {
    await Promise.all(Array.from({ length: PARALLEL }, work));
  } finally {
    reading--;
  }
  if (reading || !cards.length) return;
  byId("results").setAttribute("aria-busy", "false");
  say(tally(), cards.map((card) => `${card.name}: ${card.summary}`).join(" "));
}

function tally() {
  const answered = cards.filter((card) => card.faces !== undefined);
  const faces = answered.reduce((sum, card) => sum + card.faces, 0);
  const unanswered = cards.length - answered.length;
  const parts = [];
  if (answered.length) parts.push(`${faces ? count(faces, "face") : "No face"} in ${count(answered.length, "picture")}.`);
  if (unanswered) parts.push(`No answer for ${count(unanswered, "picture")}.`);
  return parts.join(" ");
}
