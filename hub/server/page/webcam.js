/** The webcam: frames are answered in their order, two at a time, and faces keep their numbers and a smoothed score. */

import { predict } from "./answers.js";
import { Card } from "./card.js";
import { byId, element, pause, say } from "./dom.js";
import { evenly } from "./even.js";
import { FacePanel } from "./face_panel.js";
import { NoAnswer } from "./no_answer.js";
import { clear, openResults } from "./pictures.js";
import { Tracker } from "./tracking.js";

const FRAME_MS = 33;        // at most 30 frames a second
const FRAME_SIDE = 640;     // longer side of the frames that are answered
const RATE_FRAMES = 10;     // frames over which their number a second is averaged
const ANNOUNCE_MS = 4000;   // a screen reader hears of the webcam no more often
const ON = "The webcam is on. It stops when this page is hidden.";
const HIDDEN = "The webcam was stopped, because the page was hidden.";
const CAMERA_FAULTS = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser, then start again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program, or is broken.",
};

/** Says why the camera is off, where a person on a phone sees it. */
function tell(reason) {
  say(reason);
  if (reason) byId("status").scrollIntoView({ block: "nearest" });
}

export const webcam = {
  stream: null,

  asking: null,  // the request for the camera that has no answer yet; chosen pictures and a hidden page end it

  async start() {
    if (!navigator.mediaDevices) {
      tell("The browser only allows the camera on https or localhost.");
      return;
    }
    const stream = await this.ask();
    if (!stream) return;
    this.stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => { if (this.stream === stream) this.stop("The camera went away."); });
    track.addEventListener("mute", () => { if (this.stream === stream) say("The camera sends no picture now."); });
    track.addEventListener("unmute", () => { if (this.stream === stream) say(ON); });
    document.body.classList.add("live");
    byId("webcam").textContent = byId("clear").textContent = "Stop webcam";
    try {
      await this.run(stream);
    } catch (error) {
      this.stop(`The webcam was stopped: ${error.message}`);  // never on with nobody looking
      throw error;
    }
  },

  /** The camera's stream; null if there is none, or nobody wants it any more. */
  async ask() {
    const asking = (this.asking = {});
    byId("webcam").disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, facingMode: "user" } });
      if (this.asking === asking) return stream;
      stream.getTracks().forEach((track) => track.stop());
    } catch (error) {
      if (this.asking === asking) tell(CAMERA_FAULTS[error.name] ?? `The camera did not start: ${error.message}`);
    } finally {
      byId("webcam").disabled = false;
      if (this.asking === asking) this.asking = null;
    }
    return null;
  },

  stop(reason = "") {
    if (this.asking) say(reason);
    this.asking = null;
    if (!this.stream) return;
    this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
    document.body.classList.remove("live");
    byId("webcam").textContent = "Start webcam";
    byId("clear").textContent = "Clear";
    clear();
    tell(reason);
  },

  hide() {
    this.stop(HIDDEN);
  },

  async run(stream) {
    clear();
    const video = element("video", { "aria-label": "webcam, mirrored" });
    Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
    this.card = new Card("Webcam", video, true);
    this.tracker = new Tracker();
    this.announced = -Infinity;
    this.lastText = "";
    this.card.message("Waiting for the camera…");
    say(ON);
    await video.play().catch(() => { if (this.stream === stream) this.stop("The camera gave no picture."); });
    if (this.stream !== stream) return;
    this.card.size(video.videoWidth, video.videoHeight);
    this.card.message("Looking for faces…");
    openResults();
    this.ends = [performance.now()];
    for (let before = Promise.resolve(0); this.stream === stream;) {
      const begun = performance.now();
      const frame = this.step(video, stream, before);
      const wait = await before;  // not for this frame: the next one is sent while it is answered
      before = frame;
      await pause(Math.max(wait, FRAME_MS - (performance.now() - begun), 0));
    }
  },

  /** Answers a frame and shows it after the one before it; returns the milliseconds that an overloaded server asks to
      wait. */
  async step(video, stream, before) {
    try {
      const answer = await predict(frameOf(video), "webcam.jpg");
      await before;
      if (this.stream === stream) this.show(answer, this.rate());
      return 0;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      if (this.stream !== stream) return 0;
      if (!error.waitSeconds) this.stop(error.message);
      else say(error.message);
      return 1000 * error.waitSeconds;
    }
  },

  /** Frames a second. */
  rate() {
    this.ends.push(performance.now());
    if (this.ends.length > RATE_FRAMES + 1) this.ends.shift();
    return (1000 * (this.ends.length - 1)) / (this.ends.at(-1) - this.ends[0] || 1);
  },

  show(answer, rate) {
    const now = performance.now();
    this.tracker.update(answer.faces.map(evenly), now).forEach((face) => face.panel?.remove());
    const { faces } = this.tracker;
    for (const face of faces) {
      if (!face.panel) {
        face.panel = new FacePanel(face.number, face.scores.map((row) => row.label));
        this.card.add(face.panel);
      }
      face.panel.update(face);
    }
    this.card.place(faces.map((face) => face.panel), faces.map((face) => face.box), answer);
    if (!faces.length) this.card.message("No face in view.");
    this.card.time(answer, `, ${rate.toFixed(0)} frames a second`);
    if (now - this.announced > ANNOUNCE_MS) this.announce(now);
  },

  announce(now) {
    const text = this.tracker.faces.map((face) => `Face ${face.number}: ${face.panel.text}.`).join(" ");
    if (text !== this.lastText) say(ON, text || "No face in view.");
    this.lastText = text;
    this.announced = now;
  },
};

function frameOf(video) {
  const scale = Math.min(1, FRAME_SIDE / Math.max(video.videoWidth, video.videoHeight));
  const canvas = element("canvas");
  canvas.width = Math.round(scale * video.videoWidth);
  canvas.height = Math.round(scale * video.videoHeight);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}
