"""What the app shows in a browser."""

import dataclasses
import html
import os
import pathlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import gradio as gr
import numpy as np

from bginv.app.review import DRAWN, FOUND, REJECTED, MaskReview
from bginv.auditing.page import audit_page
from bginv.data.folder import TRAIN
from bginv.data.sources import Dataset
from bginv.errors import UserError
from bginv.library.audit import audit

SHOWN = 480
"""Longest side of a picture that is shown, in pixels."""
ALL = "all, the least sure first"
HOW = (
    "Click two opposite corners of the object in the first picture, or write the box below, and "
    "its mask is drawn anew. Reject a mask that cannot be mended: its picture then keeps its "
    "background in training, and audits leave it out."
)


class Front:
    """What happens at each click.

    Args:
        reviews: by the split's name.
        dataset: their pictures.
        model: file of a classifier to audit, or None.
    """

    def __init__(self, reviews: Mapping[str, MaskReview], dataset: Dataset, model: str | None):
        self.reviews, self._dataset, self._model = dict(reviews), dataset, model
        self._lock = threading.Lock()  # Gradio answers in several threads
        self._corner: tuple[float, float] | None = None

    def _row(self, split: str, only: str, place: float | None) -> tuple[int | None, int, int]:
        """The picture at a place of an order, None where there is none; the place, and how many."""
        rows = self.reviews[split].order("" if only == ALL else only)
        number = int(np.clip(place or 1, 1, max(1, len(rows))))
        return (rows[number - 1] if rows else None), number, len(rows)

    def show(self, split: str, only: str, place: float | None, note: str = "") -> list[Any]:
        """Values of `outputs` in `build`: the picture at a place of an order, and its state."""
        review = self.reviews[split]
        row, number, count = self._row(split, only, place)
        self._corner = None
        unsaved = f"{review.unsaved} changes are not saved" if review.unsaved else ""
        told = ". ".join(filter(None, (note, unsaved, review.refusal)))
        if row is None:
            return [number, f"No mask is {only}.", None, None, None, told]
        images = (
            review.outlined(row),
            review.cut_out(row),
            review.composite(row, review.donor(row)),
        )
        state = f"{review.name(row)}: {number} of {count}, mask {review.state(row)}"
        if review.state(row) == REJECTED:
            state += ": it keeps its background"
        return [number, state, *map(_shown, images), told]

    def turn(self, split: str, only: str, place: float | None) -> list[Any]:
        """Another picture is shown, whose box is not written yet."""
        return [*self.show(split, only, place), ""]

    def change(
        self,
        split: str,
        only: str,
        place: float | None,
        change: Callable[[MaskReview, int], object],
    ) -> list[Any]:
        """Change the mask that is shown; an error of the user's is told."""
        note = ""
        with self._lock:
            row, _, _ = self._row(split, only, place)
            try:
                if row is not None:
                    change(self.reviews[split], row)
            except UserError as error:
                note = str(error)
            return self.show(split, only, place, note)

    def draw(self, split: str, only: str, place: float | None, text: str) -> list[Any]:
        """Draw a mask in the box that was written."""
        try:
            left, top, right, bottom = (float(edge) for edge in text.split(","))
        except ValueError:
            wanted = "a box is left, top, right, bottom in pixels, such as 20, 10, 120, 90"
            return self.show(split, only, place, f"{wanted}; received {text}")
        box = (left, top, right, bottom)
        return self.change(split, only, place, lambda review, row: review.draw(row, box))

    def click(
        self, split: str, only: str, place: float | None, x: float, y: float
    ) -> tuple[str, list[Any] | None]:
        """The box that two clicks make, as text, and what is shown then; None after one click."""
        row, _, _ = self._row(split, only, place)
        if row is None:
            return "", None
        height, width = self.reviews[split].source.images.sizes[row]
        scale = max(height, width) / SHOWN
        here = (x * scale, y * scale)
        if self._corner is None:
            self._corner = here
            return f"{here[0]:.0f}, {here[1]:.0f}, ", None
        text = ", ".join(f"{edge:.0f}" for edge in (*self._corner, *here))
        return text, self.draw(split, only, place, text)

    def save(self, split: str, only: str, place: float | None) -> list[Any]:
        """Write the masks of all splits."""
        notes = []
        with self._lock:
            for name, review in self.reviews.items():
                try:
                    notes.append(f"{name}: {review.save()} masks written to {review.target}")
                except (UserError, OSError) as error:
                    notes.append(str(error))
            return self.show(split, only, place, "; ".join(notes))

    def audit(self, split: str, quick: bool) -> str:
        """Verdict, table and page of an audit with the masks as they are now."""
        if self._model is None:
            return "<p>Name a classifier to audit: bginv app folder:PATH --model FILE</p>"
        masked = self.reviews[split].masked()
        own = self.reviews.get(TRAIN)
        train = own.masked() if own and split != TRAIN else masked
        tests = {} if split == TRAIN else {split: masked}
        data = dataclasses.replace(self._dataset, train=train, tests=tests)
        try:
            result = audit(self._model, data, "given", split=split, quick=quick)
        except (UserError, OSError) as error:
            return f"<p>{html.escape(str(error))}</p>"
        page = html.escape(audit_page(result))
        return (
            f"{result._repr_html_()}<iframe title='The whole audit' sandbox srcdoc='{page}' "
            "style='width: 100%; height: 80vh; border: 1px solid'></iframe>"
        )


def build(
    reviews: Mapping[str, MaskReview], dataset: Dataset, model: str | None, folder: pathlib.Path
) -> gr.Blocks:
    """The page.

    Args:
        reviews: by the split's name, at least one.
        dataset: their pictures.
        model: file of a classifier to audit, or None.
        folder: for pictures that are shown.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    front = Front(reviews, dataset, model)
    names = list(reviews)
    with gr.Blocks(title=f"Masks of {dataset.name}", analytics_enabled=False) as page:
        named = html.escape(f"{dataset.name}{f', model {model}' if model else ''}")
        gr.HTML(f"<h1>Masks and audit</h1><p>{named}</p>")
        split = gr.Dropdown(names, value=names[0], label="Part of the data", elem_id="split")
        with gr.Tab("Masks"):
            _masks_tab(front, split)
        with gr.Tab("Audit"):
            quick = gr.Checkbox(True, label="Quick: 100 pictures, about a minute")
            button = gr.Button("Audit", variant="primary", elem_id="audit")
            found = gr.HTML(elem_id="found")
            button.click(front.audit, [split, quick], found)
    return page


def _masks_tab(front: Front, split: gr.Dropdown) -> None:
    only = gr.Dropdown([ALL, FOUND, REJECTED, DRAWN], value=ALL, label="Show", elem_id="only")
    gr.HTML(f"<p>{HOW}</p>")
    with gr.Row():
        back = gr.Button("Previous", elem_id="back")
        place = gr.Number(1, label="Picture", precision=0, minimum=1, elem_id="place")
        forth = gr.Button("Next", elem_id="next")
    state = gr.Textbox(label="Now", interactive=False, elem_id="state")
    with gr.Row():
        pictures = [
            gr.Image(label=label, alt_text=label, interactive=False, buttons=[], elem_id=name)
            for name, label in (
                ("outlined", "The picture, and the outline of its mask"),
                ("cut", "What the mask cuts out"),
                ("composite", "The object on another picture's background"),
            )
        ]
    with gr.Row():
        reject = gr.Button("Reject the mask", variant="stop", elem_id="reject")
        keep = gr.Button("Take it as it was found", elem_id="keep")
        box = gr.Textbox(label="Box: left, top, right, bottom in pixels", elem_id="box")
        draw = gr.Button("Draw the mask in the box", elem_id="draw")
    save = gr.Button("Save all masks", variant="primary", elem_id="save")
    told = gr.Textbox(label="Saved", interactive=False, elem_id="told")
    # what is changed is the picture that is seen, whatever number is being written
    shown = gr.State(1)
    inputs, outputs = [split, only, shown], [place, shown, state, *pictures, told]

    def showing(call: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def show(*given: Any) -> list[Any]:
            number, *rest = call(*given)
            return [number, number, *rest]

        return show

    def step(by: int) -> Callable:
        return showing(lambda split, only, place: front.turn(split, only, (place or 1) + by))

    def clicked(split: str, only: str, place: float, event: gr.SelectData) -> list[Any]:
        text, found = front.click(split, only, place, *event.index)
        return [text, *(showing(lambda: found)() if found else [gr.skip()] * len(outputs))]

    back.click(step(-1), inputs, [*outputs, box])
    forth.click(step(1), inputs, [*outputs, box])
    place.submit(step(0), [split, only, place], [*outputs, box])
    for choice in (split, only):
        choice.input(showing(lambda *own: front.turn(*own, 1)), [split, only], [*outputs, box])
    reject.click(showing(lambda *own: front.change(*own, MaskReview.reject)), inputs, outputs)
    keep.click(showing(lambda *own: front.change(*own, MaskReview.keep)), inputs, outputs)
    draw.click(showing(front.draw), [*inputs, box], outputs)
    box.submit(showing(front.draw), [*inputs, box], outputs)
    pictures[0].select(clicked, inputs, [box, *outputs])
    save.click(showing(front.save), inputs, outputs)
    gr.on(None, showing(front.show), inputs, outputs)  # when the page is opened


def _shown(image: np.ndarray) -> np.ndarray:
    scale = SHOWN / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=kind)
