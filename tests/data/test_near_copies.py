"""Near copies of drawn faces: every kind is found, different faces and expressions are not."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as PILImage
from PIL import ImageEnhance, ImageOps

from pipeline.data import near_copies as search
from pipeline.data.measure import measure_picture
from pipeline.data.near_copies import clusters_of, near_copies
from pipeline.drawn.face import draw_face
from pipeline.expressions import CLASSES


def face(index, label="neutral", size=64):
    return draw_face(label, 0, index, size)


def stored(picture, format="PNG", **how):
    if not isinstance(picture, PILImage.Image):
        return {"bytes": picture, "path": None}
    file = io.BytesIO()
    picture.save(file, format, **how)
    return {"bytes": file.getvalue(), "path": None}


def copies(*pictures):
    cells = [picture if isinstance(picture, dict | None) else stored(picture) for picture in pictures]
    return near_copies(pa.chunked_array([[measure_picture(cell)["thumbnail"] for cell in cells]], pa.binary()))


def linked(*pictures):
    return copies(*pictures).pairs.tolist()


def cropped(picture, left, top, right, bottom):
    width, height = picture.size
    return picture.resize(picture.size, box=(left * width, top * height, (1 - right) * width, (1 - bottom) * height))


KINDS = {
    "48 of 224 px": lambda f: f.resize((48, 48)),
    "112 of 224 px": lambda f: f.resize((112, 112), PILImage.Resampling.BILINEAR),
    "JPEG": lambda f: stored(f.resize((112, 112)), "JPEG", quality=40),
    "gray": lambda f: f.convert("L"),
    "mirrored": ImageOps.mirror,
    "cropped": lambda f: cropped(f, 0.1, 0.02, 0.0, 0.06),
    "shifted, with black edges": lambda f: f.transform(f.size, PILImage.Transform.AFFINE, (1, 0, 9, 0, 1, -9)),
    "stretched": lambda f: f.resize((200, 224)),
    "brighter": lambda f: ImageEnhance.Brightness(f).enhance(1.3),
    "darker, less contrast": lambda f: ImageEnhance.Contrast(ImageEnhance.Brightness(f).enhance(0.7)).enhance(0.7),
    "mirrored, cropped, small gray JPEG": lambda f: stored(
        cropped(ImageOps.mirror(f), 0.0, 0.05, 0.08, 0.0).resize((64, 64)).convert("L"), "JPEG", quality=60
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_found_among_other_faces(kind):
    faces = [face(i, size=224) for i in range(6)]
    assert linked(*faces, *(KINDS[kind](f) for f in faces[:3])) == [[0, 6], [1, 7], [2, 8]]


def test_different_faces_are_not_copies_and_mirror_images_are_found_among_many():
    faces = [face(i, "happiness") for i in range(40)]
    assert linked(*faces, *map(ImageOps.mirror, faces[:4])) == [[0, 40], [1, 41], [2, 42], [3, 43]]


def test_expressions_of_one_face_in_one_scene_are_not_copies():
    shown = [face(i, label) for i in range(12) for label in ("happiness", "surprise", "fear", "sadness")]
    assert linked(*shown) == []


def test_unusable_pictures_are_skipped():
    assert linked(b"no picture", face(0), None, face(1), face(0, size=96)) == [[1, 4]]
    assert linked(b"no picture", None) == []
    assert copies().pairs.shape == (0, 2)
    assert linked(face(0), face(0)) == [[0, 1]]


def test_pictures_of_one_tone_are_copies_of_equal_pictures_only():
    tones = [PILImage.new("RGB", (20, 20), (v, v, v)) for v in (0, 90, 255, 90)]
    assert linked(face(0), *tones, face(1)) == [[2, 4]]


def test_exact_copies_are_linked_once_each():
    found = copies(face(0), face(1), face(1), face(2), face(1, size=160), face(1))
    assert [0, 3] not in found.pairs.tolist()
    clusters = clusters_of(found.pairs, 6)
    assert len(found.pairs) == 3
    assert len(set(clusters[[1, 2, 4, 5]])) == 1
    assert len(set(clusters)) == 3
    assert found.similarity.dtype == np.float32
    assert found.similarity.max() == 1 and found.similarity.min() >= search.SIMILARITY


def test_the_order_of_rows_has_no_effect():
    pictures = [face(i, label) for i, label in enumerate(CLASSES)]
    pictures += [change(picture) for picture, change in zip(pictures, list(KINDS.values())[3:10], strict=True)]
    order = np.random.default_rng(0).permutation(len(pictures))
    straight = copies(*pictures)
    mixed = copies(*(pictures[i] for i in order))
    assert sorted(np.sort(order[mixed.pairs], axis=1).tolist()) == straight.pairs.tolist()
    assert np.sort(mixed.similarity).tolist() == np.sort(straight.similarity).tolist()


def test_more_copies_than_neighbours_are_one_cluster():
    same = [stored(face(0), "JPEG", quality=q) for q in range(30, 95, 4)]
    pictures = [*same, *(face(i) for i in range(1, 9))]
    assert len(same) > search.NEIGHBOURS
    clusters = clusters_of(copies(*pictures).pairs, len(pictures))
    assert len(set(clusters[: len(same)])) == 1
    assert len(set(clusters)) == 9


def test_the_result_is_cached_and_new_pictures_are_searched_again(monkeypatch):
    pictures = [*map(face, range(4)), face(1, size=160)]
    found = copies(*pictures)
    monkeypatch.setattr(search, "_candidates", lambda *_: pytest.fail("searched again"))
    again = copies(*reversed(pictures))
    assert (4 - again.pairs[:, ::-1]).tolist() == found.pairs.tolist() == [[1, 4]]
    assert again.similarity.tolist() == found.similarity.tolist()
    with pytest.raises(pytest.fail.Exception, match="searched again"):
        copies(*pictures, face(9))


def test_parts_of_any_size_give_the_same_pairs(monkeypatch):
    """`_search` is called directly, because the cache would return the first result."""
    pictures = [*map(face, range(9)), *(ImageOps.mirror(face(i)) for i in range(0, 9, 2))]
    cells = [stored(picture) for picture in pictures]
    cells.insert(4, None)
    whole = pa.array([measure_picture(cell)["thumbnail"] for cell in cells], pa.binary())
    found = near_copies(pa.chunked_array([whole]))
    assert found.pairs.tolist() == [[0, 10], [2, 11], [5, 12], [7, 13], [9, 14]]
    parts = pa.chunked_array([whole[:3], whole[3:4], whole[4:5], whole[5:]])
    sorted_pixels = []
    for part, queries in ((search.PART, search.QUERIES), (2, 3)):
        monkeypatch.setattr(search, "PART", part)
        monkeypatch.setattr(search, "QUERIES", queries)
        assert near_copies(parts).pairs.tolist() == found.pairs.tolist()
        thumbs = search._mapped(search._pixels(parts))
        first, which = search._distinct(thumbs)
        sorted_pixels.append(thumbs[first])
        assert np.array_equal(thumbs[first][which], thumbs)
        (result,) = search._search(thumbs)
        assert sorted(np.asarray(result["pairs"]).tolist()) == [[0, 9], [2, 10], [4, 11], [6, 12], [8, 13]]
    assert np.array_equal(*sorted_pixels)
