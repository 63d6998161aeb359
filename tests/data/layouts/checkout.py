"""The three names that the layouts need of the code under test, also where an older checkout keeps them elsewhere."""

from pipeline.curation import main as curation
from pipeline.errors import InputError

try:
    from pipeline.drawn.face import draw_face
except ImportError:  # before the modules were moved into folders
    from pipeline.sources.face import draw_face

__all__ = ["InputError", "curation", "draw_face"]
