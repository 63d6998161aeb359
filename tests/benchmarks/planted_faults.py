"""Does the report find what is wrong? Faults of known size are planted, and a linear model on pixels is evaluated.

    python -m tests.benchmarks.planted_faults [--repeats 50] [--faces 1400] [--seed 0]

Drawn faces carry their skin colour, so a bias can be planted: a share of the train labels of the darker half is
replaced at random. A leak: a share of the test pictures is added to train, brightened and stored as JPEG. Label noise:
a share of the test labels is replaced. Miscalibration: the test labels are drawn from the scores, which are calibrated
by that, and all logits are multiplied. Each line says in how many repeats
the report found the fault; lines of size 0 are its false alarms.
"""

import argparse
import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from pipeline.data.measure import SIDE
from pipeline.data.near_copies import near_copies
from pipeline.drawn import face
from pipeline.drawn.look import look_of
from pipeline.evaluation.values import estimate, metric_values, resampled_values
from pipeline.expressions import CLASSES
from pipeline.studies.groups import by_group

K, RESAMPLES, SHOWN = len(CLASSES), 400, 24


class Faces:
    """N drawn faces: gray thumbnails (N, SIDE, SIDE) uint8, label (N,), and whether the skin is of the darker half."""

    def __init__(self, count: int, seed: int) -> None:
        self.label = np.random.default_rng(seed).integers(K, size=count)
        numbers = tqdm(range(count), "draw", disable=None)
        drawn = [face.draw_face(CLASSES[self.label[i]], seed, i).convert("L").resize((SIDE, SIDE)) for i in numbers]
        self.gray = np.stack([np.asarray(one) for one in drawn])
        tone = np.array([_skin(seed, i) for i in range(count)])
        self.dark = tone < np.median(tone)


def _skin(seed: int, index: int) -> float:
    """Mean of the skin colour of a face, drawn from the same random numbers in the same order as the face."""
    rng = np.random.default_rng([seed, index])
    face.Pen(face._background(rng, 8), rng)
    return float(np.mean(look_of(rng).skin))


def other_label(label: NDArray, held: NDArray, share: float, random: np.random.Generator) -> tuple[NDArray, NDArray]:
    """`label` with a share of the `held` rows replaced by another class, and which were."""
    changed = held & (random.random(len(label)) < share)
    return np.where(changed, (label + random.integers(1, K, len(label))) % K, label), changed


def logits_of(train: NDArray, label: NDArray, *others: NDArray) -> list[NDArray]:
    """Logits of a linear model on pixels for the `others`."""
    scaler = StandardScaler().fit(train.reshape(len(train), -1))
    model = LogisticRegression(C=0.01, max_iter=60).fit(scaler.transform(train.reshape(len(train), -1)), label)
    return [model.decision_function(scaler.transform(other.reshape(len(other), -1))) for other in others]


def bias(faces: Faces, parts: list[NDArray], share: float, random: np.random.Generator) -> float:
    """Whether the report marks a tone beyond chance."""
    train, _, test = parts
    label, _ = other_label(faces.label[train], faces.dark[train], share, random)
    (logits,) = logits_of(faces.gray[train], label, faces.gray[test])
    tone = np.where(faces.dark[test], "dark", "light").astype(object)
    right = logits.argmax(1) == faces.label[test]
    return any(group.beyond_chance for group in by_group(right, faces.label[test], {"tone": tone}, 0))


def leak(faces: Faces, parts: list[NDArray], share: float, random: np.random.Generator) -> float:
    """Whether the search for near copies links a test picture to a train picture."""
    train, test = parts[0][:300], parts[2][:150]
    copied = test[: round(share * len(test))]
    added = np.stack([_restored(faces.gray[i]) for i in copied]) if len(copied) else faces.gray[:0]
    gray = np.concatenate([faces.gray[train], added, faces.gray[test]])
    pairs = near_copies(pa.chunked_array([[one.tobytes() for one in gray]], pa.binary())).pairs
    return bool(((pairs < len(train) + len(added)).sum(1) == 1).any())


def _restored(gray: NDArray) -> NDArray:
    file = io.BytesIO()
    ImageEnhance.Brightness(Image.fromarray(gray)).enhance(1.15).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))


def noise(faces: Faces, parts: list[NDArray], share: float, random: np.random.Generator) -> float:
    """Of the surest mistakes, the share that has a planted label: what a person who looks through them finds."""
    train, _, test = parts
    label, changed = other_label(faces.label[test], np.full(len(test), True), share, random)
    (logits,) = logits_of(faces.gray[train], faces.label[train], faces.gray[test])
    wrong = np.flatnonzero(logits.argmax(1) != label)
    surest = wrong[np.argsort(-log_softmax(logits[wrong], axis=1).max(1))][:SHOWN]
    return float(changed[surest].mean()) if len(surest) else 0.0


def miscalibration(faces: Faces, parts: list[NDArray], share: float, random: np.random.Generator) -> float:
    """Whether the interval of the calibration error excludes 0."""
    train, _, test = parts
    (logits,) = logits_of(faces.gray[train], faces.label[train], faces.gray[test])
    label = np.array([random.choice(K, p=chances) for chances in softmax(logits, axis=1)])
    scores, target = logits * (1 + share), np.eye(K)[label]
    samples = resampled_values(scores, label, target, RESAMPLES, 0)
    ends = estimate("ece", float(metric_values(scores, label, target)["ece"]), samples["ece"])
    return ends is not None and ends[1] > 0


Fault = Callable[[Faces, list[NDArray], float, np.random.Generator], float]
PLANTED: list[tuple[str, Fault, tuple[float, ...]]] = [
    ("bias: train labels of the darker half replaced", bias, (0, 0.2, 0.4, 0.6)),
    ("leak: test pictures in train, brightened, as JPEG", leak, (0, 0.01, 0.03, 0.1)),
    ("label noise: share of the 24 surest mistakes that is planted", noise, (0, 0.05)),
    ("miscalibration: logits larger by", miscalibration, (0, 0.25, 0.5, 1)),
]


def main() -> None:
    """Plant, evaluate, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--faces", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faces, lines = Faces(options.faces, options.seed), []
    for title, fault, sizes in PLANTED:
        for size in sizes:
            found = []
            for repeat in tqdm(range(options.repeats), f"{fault.__name__} {size:g}", disable=None):
                random = np.random.default_rng([options.seed, repeat])
                parts = np.split(random.permutation(options.faces), [options.faces // 2, 5 * options.faces // 8])
                found.append(float(fault(faces, parts, size, random)))
            share = f"{np.mean(found):.2f}"
            if fault is not noise:
                ends = binomtest(int(sum(found)), len(found)).proportion_ci(method="wilson")
                share += f" ({ends.low:.2f} to {ends.high:.2f})"
            lines.append(f"| {title} | {size:g} | {share} |")
    print(f"{options.faces} drawn faces, {options.repeats} repeats, seed {options.seed}\n")
    print("| fault | size | found in (95 %, Wilson) |\n|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
