import struct
import threading
import time
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from bginv.data import images
from bginv.data.images import decode, readable_rows, scan, shown, turn

UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3)
# how a camera stores the upright picture, for each orientation that it then writes down
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: np.rot90(UPRIGHT, 2),
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT, 1),
    7: np.rot90(UPRIGHT, 2).T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_pixels_are_turned_upright(orientation):
    stored = np.ascontiguousarray(STORED[orientation])[..., None]
    upright = tf.function(turn)(stored, tf.constant(orientation))
    np.testing.assert_array_equal(upright[..., 0], UPRIGHT)


def test_of_sixteen_bits_the_upper_eight_count():
    values = np.array([[0, 255, 256, 383, 0x80FF, 0xFEFF, 0xFF00, 0xFFFF]], np.uint16)
    pixels = decode(cv2.imencode(".png", values)[1].tobytes())
    assert pixels[0, :, 0].numpy().tolist() == [0, 0, 1, 1, 128, 254, 255, 255]


def exif(orientation: int, order: str = "<", kind: str = "H") -> bytes:
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    value = struct.pack(order + kind, orientation).ljust(4, b"\0") + bytes(4)
    return header + struct.pack(order + "HHHI", 1, 0x0112, 3 if kind == "H" else 4, 1) + value


def orientation_of(folder, *segments: tuple[int, bytes]) -> int:
    """What a scan finds in a jpeg that starts with these segments."""
    parts = (struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in segments)
    stored = cv2.imencode(".jpg", np.zeros((4, 9, 3), np.uint8))[1].tobytes()
    (folder / "a.jpg").write_bytes(stored[:2] + b"".join(parts) + stored[2:])
    files = scan([str(folder / "a.jpg")])
    assert not files.reasons
    return files.orientations.numpy()[0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", "HI")
def test_the_orientation_is_found_in_both_byte_orders_behind_other_segments(tmp_path, order, kind):
    others = ((0xE2, bytes(65_000)), (0xE1, b"http://ns.adobe.com/xap/1.0/\0"))
    assert orientation_of(tmp_path, *others, (0xE1, b"Exif\0\0" + exif(6, order, kind))) == 6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"II*\0\xff\xff\xff\xff", b"no TIFF header here", exif(9), exif(0)),
        *(exif(6)[:length] for length in range(18)),
    ],
)
def test_an_orientation_that_makes_no_sense_is_none(tmp_path, body):
    assert orientation_of(tmp_path, (0xE1, b"Exif\0\0" + body)) == 1


def test_a_png_may_tell_its_orientation_behind_its_pixels(tmp_path):
    stored = cv2.imencode(".png", np.zeros((4, 9, 3), np.uint8))[1].tobytes()
    body = b"eXIf" + exif(6)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(stored[:-12] + chunk + stored[-12:])
    assert scan([str(tmp_path / "a.png")]).sizes.tolist() == [[9, 4]]


def test_a_scan_gives_sizes_as_shown_and_reasons(tmp_path):
    picture = np.zeros((4, 9, 3), np.uint8)
    stored = cv2.imencode(".jpg", picture)[1].tobytes()
    tag = b"Exif\0\0MM\0*" + bytes([0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0])
    segment = b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag
    (tmp_path / "a.jpg").write_bytes(stored[:2] + segment + stored[2:])
    (tmp_path / "b.jpg").write_bytes(b"")
    (tmp_path / "c.jpg").write_bytes(stored)
    files = scan([str(tmp_path / f"{name}.jpg") for name in "abc"])
    assert files.sizes.tolist() == [[9, 4], [0, 0], [4, 9]]
    assert files.orientations.numpy().tolist() == [6, 1, 1]
    assert files.reasons == {1: "it is empty"}
    assert files.take(np.array([2, 1])).reasons == {1: "it is empty"}
    assert files.read(0).shape == (9, 4, 3)


def test_bad_files_are_listed_up_to_five(tmp_path, caplog):
    files = scan([str(tmp_path / f"{i}.jpg") for i in range(7)])
    with pytest.raises(ValueError, match="^7 of 7 image files cannot be read.*2 more; rep") as info:
        readable_rows(files, skip_bad_files=False)
    assert str(info.value).count("it has vanished") == 5
    assert len(readable_rows(files, skip_bad_files=True)) == 0
    assert [record.getMessage()[:44] for record in caplog.records] == [
        "7 of 7 image files cannot be read and are le"
    ]


def test_a_long_scan_says_so_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(images, "SECONDS_TO_PROGRESS", -1)
    monkeypatch.setattr(images, "SCANNED_AT_ONCE", 2)
    caplog.set_level("INFO", "absl")
    scan([str(tmp_path / f"{i}.jpg") for i in range(5)])
    assert [record.getMessage() for record in caplog.records] == [
        "reading 5 image files once, to check them"
    ]


def test_paths_are_shown_on_one_line():
    assert shown("a é/[b]*.jpg") == "a é/[b]*.jpg"
    assert shown("a\nb.jpg") == r"'a\nb.jpg'"


def test_files_of_too_many_pixels_are_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_PIXELS", 30)
    frames = [PIL.Image.new("L", (4, 4), shade) for shade in (9, 99, 199)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.gif")
    PIL.Image.new("1", (8, 4)).save(tmp_path / "wide.png")
    monkeypatch.setattr(images, "_decoded", lambda contents: pytest.fail("it was decoded"))
    found = scan([str(tmp_path / name) for name in ("moving.gif", "wide.png")])
    assert found.reasons == {
        0: "it has 3 pictures of 4 x 4 pixels; 30 can be read",
        1: "it has 8 x 4 pixels; 30 can be read",
    }
    monkeypatch.undo()
    assert scan([str(tmp_path / "still.gif")]).reasons == {}


def test_pixels_in_flight_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "PIXELS_IN_FLIGHT", 40)
    now, most, lock, decoded = [0], [0], threading.Lock(), images._decoded

    def watched(contents):
        with lock:
            now[0] += 16
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 16
        return decoded(contents)

    monkeypatch.setattr(images, "_decoded", watched)
    for name in "abcdefgh":
        PIL.Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    PIL.Image.new("L", (8, 8)).save(tmp_path / "larger than all.png")
    found = scan([str(path) for path in sorted(tmp_path.iterdir())])
    assert not found.reasons and most[0] == 32
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert found.parallel_reads == 1 and found.take(np.arange(8)).parallel_reads == 2


def test_jpeg_files_are_decoded_as_pillow_does(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    path = tmp_path / "smooth.jpg"
    cv2.imwrite(str(path), smooth)
    wanted = np.asarray(PIL.Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(decode(tf.constant(path.read_bytes())), wanted)
