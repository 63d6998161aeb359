"""Videos: times, sampling, turned and stretched frames, and files that are no videos or damaged."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from hub.video.containers import container
from hub.video.frames import UnusableVideo, Video
from tests.hub.video.clips import Picture, write_clip

UNEVEN = [0.0, 0.1, 0.15, 0.7, 1.4, 1.45, 2.0]  # seconds
EVEN = [number / 10 for number in range(25)]


def gray(level: int = 90, height: int = 48, width: int = 64) -> Picture:
    """A gray picture with a white upper left corner."""
    picture = np.full((height, width, 3), level, np.uint8)
    picture[: height // 4, : width // 4] = 255
    return picture


def times(path: Path, every: float = 0) -> list[float]:
    with Video(path) as video:
        return [round(frame.time, 3) for frame in video.frames(every)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("given", [EVEN, UNEVEN], ids=["constant", "variable"])
def test_times_are_those_of_the_file(tmp_path: Path, suffix: str, given: list[float]) -> None:
    path = write_clip(tmp_path / f"clip.{suffix}", ((time, gray()) for time in given))
    assert times(path) == given


def test_a_video_that_starts_late_starts_at_zero(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", ((5 + time, gray()) for time in EVEN))
    assert times(path)[:2] == [0.0, 0.1]


@pytest.mark.parametrize(
    ("given", "every", "sampled"),
    [
        (EVEN, 0.5, [0.0, 0.5, 1.0, 1.5, 2.0]),
        (UNEVEN, 0.5, [0.0, 0.7, 1.4, 2.0]),
        (UNEVEN, 0.1, [0.0, 0.1, 0.7, 1.4, 2.0]),  # 1.45 is in the same tenth as 1.4
        (EVEN, 10, [0.0]),
    ],
)
def test_the_first_frame_at_or_after_each_multiple_is_sampled(
    tmp_path: Path, given: list[float], every: float, sampled: list[float]
) -> None:
    path = write_clip(tmp_path / "clip.mp4", ((time, gray()) for time in given))
    assert times(path, every) == sampled


@pytest.mark.parametrize(("clockwise", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_a_phones_video_is_upright(tmp_path: Path, clockwise: int, corner: tuple[int, int]) -> None:
    path = write_clip(tmp_path / "phone.mp4", [(0.0, gray()), (0.1, gray())], clockwise)
    with Video(path) as video:
        picture = next(video.frames(0)).picture
    assert picture.shape == ((48, 64, 3) if clockwise in (0, 180) else (64, 48, 3))
    white = {place for place in [(0, 0), (0, -1), (-1, 0), (-1, -1)] if picture[place].mean() > 200}
    assert white == {corner}


def test_pixels_become_square(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        file.mux(stream.encode(av.VideoFrame.from_ndarray(gray(), "rgb24")))
        file.mux(stream.encode(None))
    with Video(path) as video:
        assert next(video.frames(0)).picture.shape == (48, 128, 3)


@pytest.mark.parametrize("suffix", ["png", "txt", ""])
def test_the_content_of_a_file_says_that_it_is_a_video(tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [(0.0, gray())])
    renamed = clip.rename(tmp_path / f"clip.{suffix}")
    assert container(renamed) == "mov"
    assert times(renamed) == [0.0]


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile clip.mp4\n",
        b"<?xml version='1.0'?><MPD/>",
        b"\0\0\0\x1cftypheic" + bytes(40),
        b"GIF89a" + bytes(40),
        b"",
    ],
    ids=["playlist", "list of files", "manifest", "heic", "gif", "empty"],
)
def test_what_is_not_a_video_never_reaches_the_decoder(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    assert container(path) is None
    with pytest.raises(UnusableVideo, match="not a video that is read"):
        Video(path)


def test_a_video_without_its_index_is_damaged(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", ((time, gray()) for time in EVEN))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnusableVideo, match="cut off: its last [0-9,]+ bytes are missing"):
        Video(path)


def noise(count: int) -> list[tuple[float, Picture]]:
    rng = np.random.default_rng(0)
    return [(number / 10, rng.integers(0, 255, (48, 64, 3), np.uint8)) for number in range(count)]


def test_the_frames_before_a_damage_are_given_and_the_damage_is_named(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", noise(60))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    seen = []
    with Video(path) as video, pytest.raises(UnusableVideo, match=r"damaged|cut off"):
        seen.extend(frame.time for frame in video.frames(0))
    assert seen[:10] == pytest.approx([number / 10 for number in range(10)])


def test_a_video_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", noise(100))
    path.write_bytes(path.read_bytes()[:60_000])
    with Video(path) as video, pytest.raises(UnusableVideo, match=r"cut off: .*; it ends at \d\.\d s"):
        list(video.frames(0))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("mp4", {"movflags": "+faststart"}), ("mkv", {}), ("webm", {}), ("avi", {}), ("mov", {"movflags": "+faststart"})],
    ids=lambda word: word if isinstance(word, str) else "",
)
@pytest.mark.parametrize("lost", [1, 500])
def test_a_short_video_without_its_last_bytes_is_cut_off_by_what_it_states(
    tmp_path: Path, suffix: str, options: dict[str, str], lost: int
) -> None:
    codec = {"avi": "mpeg4", "webm": "libvpx"}.get(suffix, "libx264")
    path = write_clip(
        tmp_path / f"clip.{suffix}", [(n / 30, p) for n, (_, p) in enumerate(noise(8))], 0, codec, options
    )
    assert len(times(path)) == 8
    path.write_bytes(path.read_bytes() + b"#" * 7)
    assert len(times(path)) == 8, "what stands behind the video is not part of it"
    path.write_bytes(path.read_bytes()[: -7 - lost])
    with pytest.raises(UnusableVideo, match=rf"cut off: its last {lost} bytes are missing|damaged"):
        times(path)


def test_a_lost_packet_of_a_broadcast_is_damage(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts", noise(20))
    content = path.read_bytes()
    middle = len(content) // 376 * 188
    path.write_bytes(content[:middle] + content[middle + 188 :])
    with pytest.raises(UnusableVideo, match="damaged: 1 parts"):
        times(path)


def test_packets_with_time_stamps_between_them_are_read(tmp_path: Path) -> None:
    content = write_clip(tmp_path / "clip.ts", noise(5)).read_bytes()
    path = tmp_path / "camera.mts"
    path.write_bytes(b"".join(bytes(4) + content[at : at + 188] for at in range(0, len(content), 188)))
    assert container(path) == "mpegts" and len(times(path)) == 5


def test_a_pipe_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert container(tmp_path / "pipe.mp4") is None
    writer = os.open(tmp_path / "pipe.mp4", os.O_RDWR)
    os.write(writer, write_clip(tmp_path / "clip.mp4", noise(2)).read_bytes()[:1000])
    assert container(tmp_path / "pipe.mp4") is None
    os.close(writer)


def test_a_live_video_that_ends_before_its_first_frame_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", noise(3), options={"live": "1"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75") + 200])  # a part of the first frame
    with pytest.raises(UnusableVideo, match="it has no frame"):
        times(path)


def test_pixels_so_wide_that_a_frame_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 512, 512, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 200
        file.mux(stream.encode(av.VideoFrame.from_ndarray(gray(height=512, width=512), "rgb24")))
        file.mux(stream.encode(None))
    with pytest.raises(UnusableVideo, match="frames of 102,400 x 512 px are not read"):
        times(path)


@pytest.mark.parametrize("with_video", [True, False])
def test_a_cover_is_not_a_video(tmp_path: Path, with_video: bool) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as file:
        cover = file.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = Disposition.attached_pic
        other = file.add_stream("libx264", rate=10) if with_video else file.add_stream("aac", rate=44_100)
        if isinstance(other, av.VideoStream):
            other.width, other.height, other.pix_fmt = 64, 48, "yuv420p"
        file.mux([*cover.encode(av.VideoFrame.from_ndarray(gray(), "rgb24")), *cover.encode(None)])
        if isinstance(other, av.VideoStream):
            file.mux([*other.encode(av.VideoFrame.from_ndarray(gray(20), "rgb24")), *other.encode(None)])
    if with_video:
        with Video(path) as video:
            assert next(video.frames(0)).picture[-1, -1].mean() < 30
    else:
        with pytest.raises(UnusableVideo, match="no picture track"):
            Video(path)


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    with pytest.raises(UnusableVideo, match="no picture track"):
        Video(path)
