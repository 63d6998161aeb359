/** The page starts here: what it says of the model, and what its buttons do. */

import { HAS_API, KEEPS, about, examples } from "./answers.js";
import { byId, element, percent } from "./dom.js";
import { offerEven } from "./even.js";
import { clear, readAgain, showFiles } from "./pictures.js";
import { answersWith } from "./score.js";
import { webcam } from "./webcam.js";

const WIDE = "(min-width: 56rem)";  // as in page.css: the notice stands beside the buttons

function show(files) {
  if (!files.length) return;
  webcam.stop();
  showFiles(files);
}

/** What the server does with the scores, where it was set to do so. */
function settled({ not_sure_below: threshold = 0, class_shares: shares }) {
  const listed = Object.entries(shares ?? {}).map(([label, share]) => `${label} ${percent(share)}`).join(", ");
  const words = [listed && ` Its scores are for faces with these shares: ${listed}.`];
  if (threshold > 0) words.push(` Below a score of ${percent(threshold)} it says "not sure".`);
  return words.filter(Boolean).join("");
}

async function showModel() {
  try {
    const described = await about((text) => { byId("model").textContent = text; });
    const { model, card, trained_on: data, drawn_only: drawn, health_score: health, note } = described;
    document.querySelectorAll(".drawn").forEach((warning) => { warning.hidden = !drawn; });
    byId("health").hidden = !health;
    const trained = data.length ? ` It was trained on: ${data.join(", ")}.` : " What it was trained on is not known.";
    const text = `Model ${model}. ${answersWith(described)}${trained}${settled(described)}`;
    const its = element("a", { href: card ?? "", target: "_blank", rel: "noreferrer" }, "model card");
    byId("model").replaceChildren(text, ...(card ? [" How often it is right, and its limits: see its ", its, "."] : []));
    offerEven(described);
    byId("note").textContent = note;
    byId("note").hidden = !note;
  } catch (error) {
    byId("model").textContent = error.message;
  }
}

/** An example as a file, so that a click works without a network; null where it does not arrive. */
async function fileOf({ name, src }) {
  const response = await fetch(src).catch(() => null);
  const picture = response?.ok ? await response.blob().catch(() => null) : null;
  return picture && new File([picture], name, { type: picture.type });
}

async function showExamples() {
  const files = await Promise.all((await examples()).map(fileOf));
  const drawn = files.filter(Boolean);
  for (const file of drawn) {
    const image = element("img", { src: URL.createObjectURL(file), alt: "" });
    const button = element("button", { type: "button" }, image, file.name);
    button.addEventListener("click", () => show([file]));
    byId("examples").querySelector("ul").append(element("li", {}, button));
  }
  byId("examples").hidden = !drawn.length;
}

function listenForDrops() {
  const mark = (on) => document.body.classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    show(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => show(event.clipboardData.files));
}

function listen() {
  byId("choose").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", (event) => {
    show(event.target.files);
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
    if (event.target.checked) readAgain();
  });
  byId("even").addEventListener("change", readAgain);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) webcam.hide();
  });
  listenForDrops();
}

byId("keeps").textContent = KEEPS;
byId("api").hidden = !HAS_API;
byId("notice").open = window.matchMedia(WIDE).matches;
listen();
await Promise.all([showModel(), showExamples()]);
document.documentElement.dataset.started = "true";
