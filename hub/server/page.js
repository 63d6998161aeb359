"use strict";

const PARALLEL = 2;             // pictures under way at once: enough to keep a server busy, few enough to be polite
const UNCLEAR_BELOW = 0.5;      // a first answer with less than half of the score is named together with the second
const SAME_FACE = 0.3;          // least overlap (intersection over union) of one face in two frames
const SMOOTHING_MS = 600;       // time constant of the average; in time, not frames, so that slow servers lag no more
const FORGET_MS = 1000;         // a face out of view for longer is gone
const FRAME_MS = 66;            // at most 15 frames a second
const FRAME_SIDE = 640;         // longer side of what is sent of the webcam
const ANNOUNCE_MS = 4000;       // a screen reader hears of the webcam no more often
const BUSY_SECONDS = 5;         // wait where an overloaded server names a date

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const percent = (score) => `${(100 * score).toFixed(1)} %`;
let ranges = null;              // of a model of scores: the lowest and highest value of each in train
const shown = (score) => (ranges ? score.toPrecision(3) : percent(score));
const share = (label, score) => {
  const [low, high] = ranges?.[label] ?? [0, 1];
  return Math.min(Math.max((score - low) / (high - low), 0), 1);
};
const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const bestOf = (scores) => [...scores].sort((a, b) => b.score - a.score);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A short line for all, and details that only a screen reader needs: the cards show them to everyone else. */
function say(text, details = "") {
  byId("status").replaceChildren(text, element("span", { class: "unseen" }, ` ${details}`));
}

/* ---- The server ---- */

class ServerError extends Error {
  /** `again`: the same picture may be answered later; `waitSeconds`: how much later, where the server says so. */
  constructor(message, again, waitSeconds = 0) {
    super(message);
    Object.assign(this, { again, waitSeconds });
  }
}

function refusal(status, body, retryAfter) {
  const reason = typeof body?.error === "string" ? body.error.replace(/\.$/, "") : `status ${status}`;
  if (retryAfter) {
    const wait = Number.parseInt(retryAfter, 10) || BUSY_SECONDS;
    return new ServerError(`The server is busy, and asks to wait ${count(wait, "second")}: ${reason}.`, true, wait);
  }
  const what = status < 500 ? "The server did not take this picture." : "The server could not answer.";
  return new ServerError(`${what} ${reason}.`, status >= 500);
}

/** The answer for one picture, with `total`: milliseconds from asking to answer. One picture a request: a picture that
    is refused must not take others with it. */
async function predict(picture, name, signal) {
  const form = new FormData();
  form.append("files", picture, name);
  const address = byId("explain").checked ? "predict?explain=true" : "predict";
  const start = performance.now();
  const response = await fetch(address, { method: "POST", body: form, signal }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new ServerError("The server does not answer. Is it running, and are you online?", true);
  });
  const body = await response.json().catch(() => null);
  if (!response.ok || !body) throw refusal(response.status, body, response.headers.get("Retry-After"));
  return { ...body.files[0], total: performance.now() - start };
}

/* ---- One face: a box in the picture, and its scores next to it ---- */

let panels = 0;

class FacePanel {
  constructor(number, labels) {
    const id = `face-${++panels}`;
    this.number = number;
    this.box = element("button", { type: "button", class: "box" }, element("span", { class: "number" }, number));
    this.answer = element("span");
    this.crop = element("img", { alt: "" });
    this.under = element("img", { alt: "" });
    this.heat = element("img", { alt: "", class: "heat" });
    this.map = this.view("where it looked", "map", this.under, this.heat);
    this.rows = new Map(labels.map((label) => [label, this.row(label)]));
    const title = element("h4", { id }, element("span", { class: "number" }, number), this.answer);
    const table = element("table", { class: "scores", "aria-labelledby": id }, element("tbody", {}, ...this.nodes()));
    const views = element("div", { class: "views" }, this.view("what it saw", "", this.crop), this.map);
    const detail = element("div", { class: "detail" }, views, table);
    this.section = element("section", { class: "face", tabindex: "-1", "aria-labelledby": id }, title, detail);
    this.link();
  }

  view(caption, kind, ...layers) {
    const layered = element("div", { class: "layers" }, ...layers);
    return element("figure", { class: `view ${kind}` }, layered, element("figcaption", { class: "small" }, caption));
  }

  row(label) {
    const fill = element("div");
    const number = element("td");
    const bar = element("td", { "aria-hidden": "true" }, element("div", { class: "bar" }, fill));
    return { node: element("tr", {}, element("th", { scope: "row" }, label), bar, number), fill, number };
  }

  nodes() {
    return [...this.rows.values()].map((row) => row.node);
  }

  /** Who points at or tabs to the box or the scores sees the other marked too. */
  link() {
    const both = [this.box, this.section];
    const mark = (on) => both.forEach((node) => node.classList.toggle("active", on));
    for (const node of both) {
      node.addEventListener("pointerenter", () => mark(true));
      node.addEventListener("pointerleave", () => mark(false));
      node.addEventListener("focus", () => mark(true));
      node.addEventListener("blur", () => mark(false));
    }
    this.box.addEventListener("click", () => this.section.focus());
  }

  update(face) {
    const [first, second] = bestOf(face.scores);
    const unclear = !ranges && first.score < UNCLEAR_BELOW;
    this.text = unclear ? `unclear: ${first.label} or ${second.label}` : first.label;
    if (ranges) this.text = face.scores.map(({ label, score }) => `${label} ${shown(score)}`).join(", ");
    this.answer.textContent = this.text;
    this.box.setAttribute("aria-label", `Face ${this.number}: ${this.text}. To its scores`);
    for (const { label, score } of face.scores) {
      const row = this.rows.get(label);
      row.fill.style.width = `${100 * share(label, score)}%`;
      row.number.textContent = shown(score);
      row.node.classList.toggle("best", !ranges && label === first.label);
    }
    this.crop.src = face.crop;
    this.map.hidden = !face.map;
    if (face.map) {
      this.under.src = face.crop;
      this.heat.src = face.map;
    }
  }

  /** `box`: left, top, right, bottom in shares of the picture; what lies outside the picture is cut off. */
  place(box) {
    const [left, top, right, bottom] = box.map((share) => 100 * Math.min(Math.max(share, 0), 1));
    Object.assign(this.box.style, {
      left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`,
    });
  }

  remove() {
    this.box.remove();
    this.section.remove();
  }
}

/* ---- One picture or the webcam: name, latency, picture with boxes, faces ---- */

class Card {
  constructor(name, view, mirrored = false) {
    this.name = name;
    this.mirrored = mirrored;
    this.latency = element("p", { class: "small" });
    this.picture = element("figure", { class: mirrored ? "picture mirrored" : "picture" }, view);
    this.answer = element("div", { class: "answer" });
    this.node = element("article", { class: "panel card" },
      element("div", { class: "card-head" }, element("h3", {}, name), this.latency),
      element("div", { class: "card-body" }, this.picture, this.answer));
    byId("cards").append(this.node);
  }

  size(width, height) {
    this.picture.style.setProperty("--ratio", width / height);
  }

  message(text) {
    this.answer.replaceChildren(element("div", { class: "message" }, element("p", {}, text)));
    this.summary = text;
  }

  add(panel) {
    this.answer.querySelector(".message")?.remove();
    byId("reading").hidden = false;
    this.picture.append(panel.box);
    this.answer.append(panel.section);
  }

  /** Puts the panel's box where the answer has it; in a mirrored view, on the other side. */
  place(panel, box, answer) {
    const [left, top, right, bottom] = [0, 1, 2, 3].map((i) => box[i] / (i % 2 ? answer.height : answer.width));
    panel.place(this.mirrored ? [1 - right, top, 1 - left, bottom] : [left, top, right, bottom]);
  }

  time(answer, more = "") {
    const [server, total] = [answer.milliseconds, answer.total].map(Math.round);
    this.latency.textContent = `${server} ms on the server, ${total} ms in all${more}`;
  }
}

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
      this.show(await predict(this.file, this.name, signal));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ServerError)) throw error;
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
    const panels = answer.faces.map((face, index) => this.showFace(face, index + 1, answer));
    this.summary = `${panels.map((panel) => `face ${panel.number}: ${panel.text}`).join(", ")}.`;
  }

  showFace(face, number, answer) {
    const scores = bestOf(face.scores);
    const panel = new FacePanel(number, scores.map((row) => row.label));
    panel.update({ ...face, scores });
    this.add(panel);
    this.place(panel, face.box, answer);
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

/* ---- Pictures ---- */

let cards = [];

function clear() {
  cards.forEach((card) => card.close());
  cards = [];
  byId("cards").replaceChildren();
  byId("results").setAttribute("aria-busy", "false");
  byId("tools").hidden = byId("reading").hidden = true;
  say("");
}

function openResults() {
  byId("tools").hidden = false;
  byId("results").scrollIntoView({ block: "start" });
}

let reading = 0;

async function read(asked) {
  reading++;
  const results = byId("results");
  results.setAttribute("aria-busy", "true");
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
  results.setAttribute("aria-busy", "false");
  say(tally(), cards.map((card) => `${card.name}: ${card.summary}`).join(" "));
}

function tally() {
  const answered = cards.filter((card) => card.faces !== undefined);
  const faces = answered.reduce((sum, card) => sum + card.faces, 0);
  const unanswered = cards.length - answered.length;
  const parts = [];
  if (answered.length) parts.push(`${count(faces, "face")} in ${count(answered.length, "picture")}.`);
  if (unanswered) parts.push(`No answer for ${count(unanswered, "picture")}.`);
  return parts.join(" ");
}

function showFiles(files) {
  if (!files.length) return;
  webcam.stop();
  clear();
  cards = [...files].map((file) => new PictureCard(file));
  openResults();
  read(cards);
}

/* ---- Webcam ---- */

function overlap(a, b) {
  const area = (box) => Math.max(box[2] - box[0], 0) * Math.max(box[3] - box[1], 0);
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return shared / (area(a) + area(b) - shared || 1);
}

/** Faces over frames: the face of a frame joins the one that its box overlaps most, and its scores join the average. */
class Tracker {
  faces = [];

  update(found, now) {
    const free = new Set(this.faces);
    for (const face of found) {
      const known = [...free].sort((a, b) => overlap(b.box, face.box) - overlap(a.box, face.box))[0];
      if (known && overlap(known.box, face.box) >= SAME_FACE) {
        free.delete(known);
        this.blend(known, face, now);
      } else {
        this.faces.push(this.begin(face, now));
      }
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

  blend(known, face, now) {
    const weight = 1 - Math.exp(-(now - known.seen) / SMOOTHING_MS);
    const fresh = new Map(face.scores.map(({ label, score }) => [label, score]));
    const nearer = ({ label, score }) => ({ label, score: score + weight * (fresh.get(label) - score) });
    const scores = known.scores.map(nearer);
    Object.assign(known, face, { scores, seen: now });
  }
}

const CAMERA_FAULTS = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser, then start again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

const webcam = {
  stream: null,

  async start() {
    if (!navigator.mediaDevices) {
      say("The browser only allows the camera on https or localhost.");
      return;
    }
    byId("webcam").disabled = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, facingMode: "user" } });
    } catch (error) {
      say(CAMERA_FAULTS[error.name] ?? `The camera did not start: ${error.message}`);
      return;
    } finally {
      byId("webcam").disabled = false;
    }
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("The camera went away."));
    byId("webcam").textContent = byId("clear").textContent = "Stop webcam";
    try {
      await this.run(this.stream);
    } catch (error) {
      this.stop(`The webcam was stopped: ${error.message}`);  // never on with nobody looking
      throw error;
    }
  },

  stop(reason = "") {
    if (!this.stream) return;
    this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
    byId("webcam").textContent = "Start webcam";
    byId("clear").textContent = "Clear";
    clear();
    say(reason);
  },

  async run(stream) {
    clear();
    const video = element("video", { "aria-label": "webcam, mirrored" });
    Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
    this.card = new Card("Webcam", video, true);
    this.tracker = new Tracker();
    this.announced = -Infinity;
    this.lastText = "";
    say("The webcam is on. It stops when this page is hidden.");
    await video.play().catch(() => this.stop("The camera gave no picture."));
    if (this.stream !== stream) return;
    this.card.size(video.videoWidth, video.videoHeight);
    this.card.message("Looking for faces…");
    openResults();
    for (let last = performance.now(), rate = 0; this.stream === stream;) {
      const wait = await this.step(video, stream, rate);
      await pause(Math.max(wait, FRAME_MS - (performance.now() - last)));
      rate = 1000 / (performance.now() - last);
      last = performance.now();
    }
  },

  /** Sends one frame and shows its answer; returns the milliseconds that an overloaded server asks to wait. */
  async step(video, stream, rate) {
    try {
      const answer = await predict(await frameOf(video), "webcam.jpg");
      if (this.stream === stream) this.show(answer, rate);
      return 0;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (this.stream !== stream) return 0;
      if (!error.waitSeconds) this.stop(error.message);
      else say(error.message);
      return 1000 * error.waitSeconds;
    }
  },

  show(answer, rate) {
    const now = performance.now();
    this.tracker.update(answer.faces, now).forEach((face) => face.panel.remove());
    for (const face of this.tracker.faces) {
      if (!face.panel) {
        face.panel = new FacePanel(face.number, face.scores.map((row) => row.label));
        this.card.add(face.panel);
      }
      face.panel.update(face);
      this.card.place(face.panel, face.box, answer);
    }
    if (!this.tracker.faces.length) this.card.message("No face in view.");
    this.card.time(answer, `, ${rate.toFixed(0)} frames a second`);
    if (now - this.announced > ANNOUNCE_MS) this.announce(now);
  },

  announce(now) {
    const text = this.tracker.faces.map((face) => `Face ${face.number}: ${face.panel.text}.`).join(" ");
    if (text !== this.lastText) say("The webcam is on. It stops when this page is hidden.", text || "No face in view.");
    this.lastText = text;
    this.announced = now;
  },
};

function frameOf(video) {
  const scale = Math.min(1, FRAME_SIDE / Math.max(video.videoWidth, video.videoHeight));
  const canvas = element("canvas");
  canvas.width = Math.round(scale * video.videoWidth);
  canvas.height = Math.round(scale * video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

/* ---- The page ---- */

const named = (name) => (ranges ? `${name} (${ranges[name].map((end) => end.toPrecision(3)).join(" to ")} in its training)` : name);

function showScores() {
  byId("lead").textContent = "Estimates scores of what a face in a picture shows. It cannot tell what a person feels. " +
    "Do not decide anything about a person with it.";
  byId("reading").textContent = "The numbers are the model’s scores for one crop of a face, in the unit of the data that " +
    "it was trained on. They are not probabilities, and a bar only shows where a score lies in the range of that data.";
  byId("explain").closest(".switch").hidden = true;  // there is no first answer to explain
}

async function showModel() {
  const health = await fetch("health").then((response) => response.json()).catch(() => null);
  if (!health) {
    byId("model").textContent = "The server does not answer.";
    return;
  }
  ranges = health.score_ranges;
  const answers = ranges ? "It answers with the scores" : "It chooses from";
  const model = `Model ${health.model} on ${health.engine}. ${answers}: ${health.classes.map(named).join(", ")}.`;
  const blind = "It has no face detector, so this page cannot find faces; the API still takes cropped faces.";
  byId("model").textContent = health.detector ? model : `${model} ${blind}`;
  if (ranges) showScores();
}

async function showExamples() {
  const examples = await fetch("examples").then((response) => (response.ok ? response.json() : [])).catch(() => []);
  for (const { name, src } of examples) {
    const button = element("button", { type: "button" }, element("img", { src, alt: "" }), name);
    button.addEventListener("click", async () => {
      const picture = await fetch(src).then((response) => response.blob());
      showFiles([new File([picture], name, { type: picture.type })]);
    });
    byId("examples").querySelector("ul").append(element("li", {}, button));
  }
  byId("examples").hidden = !examples.length;
}

function listenForDrops() {
  const show = (on) => document.body.classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    show(event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) show(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    show(false);
    showFiles(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => showFiles(event.clipboardData.files));
}

function listen() {
  byId("choose").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", (event) => {
    showFiles(event.target.files);
    event.target.value = "";  // or the same picture could not be chosen twice
  });
  byId("webcam").addEventListener("click", () => (webcam.stream ? webcam.stop() : webcam.start()));
  byId("clear").addEventListener("click", () => {
    webcam.stop();
    clear();
    byId("choose").focus();
  });
  byId("explain").addEventListener("change", (event) => {
    document.body.classList.toggle("explaining", event.target.checked);
    if (event.target.checked && cards.length) read(cards);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) webcam.stop("The webcam was stopped, because the page was hidden.");
  });
  listenForDrops();
}

listen();
showModel();
showExamples();
