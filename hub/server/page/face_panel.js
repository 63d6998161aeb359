/** One face: a box in the picture, and its scores next to it. */

import { bestOf, element } from "./dom.js";
import { ofClasses, share, shown } from "./score.js";

const UNCLEAR_BELOW = 0.5;  // a first answer with less than half of the score is named together with the second

const LEAST_FALL = 0.0005;  // of the first score; less is shown as none

let panels = 0;

function view(caption, kind, ...layers) {
  const layered = element("div", { class: "layers" }, ...layers);
  return element("figure", { class: `view ${kind}` }, layered, element("figcaption", { class: "small" }, caption));
}

/** From no red to full red: what the colours of the map mean. */
function scale(most) {
  const words = element("div", { class: "ends" }, element("span", {}, "0"), most);
  return element("div", { class: "scale" }, element("div", { class: "ramp" }), words);
}

export class FacePanel {
  constructor(number, labels) {
    const id = `face-${++panels}`;
    this.number = number;
    this.box = element("button", { type: "button", class: "box" }, element("span", { class: "number" }, number));
    this.answer = element("span");
    this.crop = element("img", { alt: "" });
    this.under = element("img", { alt: "" });
    this.heat = element("img", { alt: "", class: "heat" });
    this.most = element("span");
    this.map = view("where it looked", "map", this.under, this.heat);
    this.map.append(scale(this.most));
    this.rows = new Map(labels.map((label) => [label, this.row(label)]));
    const title = element("h4", { id }, element("span", { class: "number" }, number), this.answer);
    const rows = [...this.rows.values()].map((row) => row.node);
    const table = element("table", { class: "scores", "aria-labelledby": id }, element("tbody", {}, ...rows));
    const views = element("div", { class: "views" }, view("what it saw", "", this.crop), this.map);
    const detail = element("div", { class: "detail" }, views, table);
    this.section = element("section", { class: "face", tabindex: "-1", "aria-labelledby": id }, title, detail);
    this.link();
  }

  row(label) {
    const fill = element("div");
    const number = element("td");
    const bar = element("td", { "aria-hidden": "true" }, element("div", { class: "bar" }, fill));
    return { node: element("tr", {}, element("th", { scope: "row" }, label), bar, number), fill, number };
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
    const unclear = second && first.score < UNCLEAR_BELOW;
    const clear = unclear ? `unclear: ${first.label} or ${second.label}` : first.label;
    this.text = face.sure === false ? "not sure" : clear;  // below the server's threshold
    if (!ofClasses()) this.text = face.scores.map(({ label, score }) => `${label} ${shown(score)}`).join(", ");
    this.answer.textContent = this.text;
    this.box.setAttribute("aria-label", `Face ${this.number}: ${this.text}. To its scores`);
    for (const { label, score } of face.scores) {
      const row = this.rows.get(label);
      row.fill.style.width = `${100 * share(label, score)}%`;
      row.number.textContent = shown(score);
      row.node.classList.toggle("best", ofClasses() && label === first.label);
    }
    this.crop.src = face.crop;
    this.map.hidden = !face.map;
    if (face.map) {
      this.under.src = face.crop;
      this.heat.src = face.map;
      this.most.textContent = face.map_fall < LEAST_FALL ? "no fall" : `−${(100 * face.map_fall).toFixed(1)} points`;
    }
  }

  /** `box`: left, top, right, bottom in shares of the picture, within it. */
  place([left, top, right, bottom], side) {
    Object.assign(this.box.style, {
      left: `${100 * left}%`, top: `${100 * top}%`,
      width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
    });
    this.box.dataset.side = side;
  }

  remove() {
    this.box.remove();
    this.section.remove();
  }
}
