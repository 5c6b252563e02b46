"""Pictures of two classes, as annotation tools list them: bright boxes on grey."""

import json
import pathlib

import cv2
import numpy as np

WIDTH, HEIGHT = 32, 24
CLASSES = ("cat", "dog")
BOX = (8, 6, 16, 12)
"""Left, top, width and height of every object."""


def write_pictures(folder: pathlib.Path, count: int = 8) -> list[str]:
    """Write pictures NAME.png of alternating classes; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    left, top, width, height = BOX
    for number in range(count):
        pixels = np.full((HEIGHT, WIDTH, 3), 10 + number, np.uint8)
        pixels[top : top + height, left : left + width] = (50, 200)[number % 2] + number
        names.append(f"{number}.png")
        cv2.imwrite(str(folder / names[-1]), pixels)
    return names


def polygon(left: float, top: float, width: float, height: float) -> list[float]:
    """Corners x, y of a box."""
    right, bottom = left + width - 1, top + height - 1
    return [left, top, right, top, right, bottom, left, bottom]


def coco(names: list[str], first: int = 0) -> dict:
    """COCO's content for pictures of alternating classes: polygons, and a smaller cat in each."""
    images, annotations = [], []
    for number, name in enumerate(names):
        images.append({"id": first + number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        small = {"bbox": [0, 0, 3, 3], "segmentation": [polygon(0, 0, 3, 3)], "category_id": 1}
        large = {"bbox": list(BOX), "segmentation": [polygon(*BOX)], "category_id": 1 + number % 2}
        for place, own in enumerate((small, large)):
            annotations.append({"id": 2 * number + place, "image_id": first + number, **own})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root: pathlib.Path) -> dict:
    """Write pictures and `all.json` beside them; its content."""
    held = coco(write_pictures(root / "images"))
    (root / "all.json").write_text(json.dumps(held))
    return held


def write_csv(root: pathlib.Path, header: str = "path,label", more: str = "") -> pathlib.Path:
    """Write pictures and a table of them."""
    names = write_pictures(root / "pictures")
    lines = [f"pictures/{name},{CLASSES[row % 2]}{more}" for row, name in enumerate(names)]
    (root / "all.csv").write_text("\n".join([header, *lines]) + "\n")
    return root / "all.csv"


def write_yolo(root: pathlib.Path) -> None:
    """Write pictures, labels of boxes and of polygons, and data.yaml."""
    left, top, width, height = BOX
    centre = (left + width / 2) / WIDTH, (top + height / 2) / HEIGHT
    box = f"{centre[0]} {centre[1]} {width / WIDTH} {height / HEIGHT}"
    corners = np.array(polygon(*BOX)).reshape(-1, 2) / (WIDTH, HEIGHT)
    outline = " ".join(map(str, corners.reshape(-1)))
    for split, shape in (("train", outline), ("val", box)):
        for row, name in enumerate(write_pictures(root / "images" / split)):
            file = root / "labels" / split / name.replace(".png", ".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{row % 2} {shape}\n")
    folders = "path: .\ntrain: images/train\nval: images/val\n"
    (root / "data.yaml").write_text(f"{folders}names: {{0: cat, 1: dog}}\n")


def write_voc(root: pathlib.Path) -> None:
    """Write pictures and an XML file for each."""
    left, top, width, height = BOX
    edges = {"xmin": left + 1, "ymin": top + 1, "xmax": left + width, "ymax": top + height}
    box = "".join(f"<{name}>{value}</{name}>" for name, value in edges.items())
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    (root / "Annotations").mkdir(parents=True)
    for row, name in enumerate(write_pictures(root / "JPEGImages")):
        thing = f"<object><name>{CLASSES[row % 2]}</name><bndbox>{box}</bndbox></object>"
        text = f"<annotation><filename>{name}</filename>{size}{thing}</annotation>"
        (root / "Annotations" / name.replace(".png", ".xml")).write_text(text)
