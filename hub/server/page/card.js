/** A picture or the webcam: name, time, the picture with boxes, and its faces. */

import { badgeSides } from "./badge.js";
import { byId, element } from "./dom.js";

export class Card {
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

  /** Puts the boxes of the panels where the answer has them; in a mirrored view, on the other side. */
  place(panels, boxes, answer) {
    const shown = boxes.map((box) => this.shares(box, answer));
    const { clientWidth: width, clientHeight: height } = this.picture;
    const px = shown.map(([left, top, right, bottom]) => [left * width, top * height, right * width, bottom * height]);
    const sides = badgeSides(px, width, height);
    panels.forEach((panel, index) => panel.place(shown[index], sides[index]));
  }

  /** A box in px of the answer's picture as shares of it; what lies outside the picture is cut off. */
  shares(box, { width, height }) {
    const inside = box.map((edge, i) => Math.min(Math.max(edge / (i % 2 ? height : width), 0), 1));
    const [left, top, right, bottom] = inside;
    return this.mirrored ? [1 - right, top, 1 - left, bottom] : inside;
  }

  time(answer, more = "") {
    this.latency.textContent = `${Math.round(answer.total)} ms${more}`;
  }
}
