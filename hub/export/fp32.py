"""The weights as they are."""

from pathlib import Path

from hub.export.classifier import Classifier
from hub.export.formats import Format
from hub.export.onnx_files import copy_of, open_file, save


def write(classifier: Classifier, path: Path) -> None:
    """The traced graph itself."""
    save(copy_of(classifier.graph), path, classifier.classes)


# A ViT-Tiny at 112 px differed by 5e-6 over 3,186 pictures; a wrong weight or another preprocessing differs by tenths.
FORMAT = Format(name="fp32", file="model.onnx", write=write, answers=open_file, bound=1e-4)
