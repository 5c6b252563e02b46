"""What the app shows in a browser, and its server, which is for this machine alone."""

import contextlib
import html
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import numpy as np

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr  # noqa: E402 - it reads that when it is imported
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: E402

from bginv.app.review import DRAWN, FOUND, REJECTED, MaskReview  # noqa: E402
from bginv.auditing.page import audit_page  # noqa: E402
from bginv.data.folder import TRAIN  # noqa: E402
from bginv.data.sources import Dataset  # noqa: E402
from bginv.errors import UserError  # noqa: E402
from bginv.library.audit import audit  # noqa: E402

HOST = "127.0.0.1"
HOSTS = [HOST, "localhost"]
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; "
    "frame-ancestors 'self'; form-action 'self'"
)
"""What a browser may load and ask: nothing from elsewhere."""
REFUSED = ("/proxy=", "/upload", "file=http")
"""Of Gradio's routes: those that fetch from elsewhere, or take files, which the app never asks."""
FONTS = {
    "font": ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
    "font_mono": ("ui-monospace", "Menlo", "Consolas", "monospace"),
}
BUTTONS = {
    f"button_{kind}_background_fill{state}": colour
    for kind, colours in (("primary", ("#1d4ed8", "#1e40af")), ("cancel", ("#b91c1c", "#991b1b")))
    for hover, colour in zip(("", "_hover"), colours, strict=True)
    for state in (hover, f"{hover}_dark")
}
"""Colours that white letters can be read on."""
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

    def show(self, split: str, only: str, place: float, note: str = "") -> list[Any]:
        """Values of `outputs` in `build`: the picture at a place of an order, and its state."""
        review = self.reviews[split]
        rows = review.order("" if only == ALL else only)
        self._corner = None
        if not rows:
            return [1, f"No mask is {only}.", None, None, None, note]
        place = int(np.clip(place, 1, len(rows)))
        row = rows[place - 1]
        donor = review.donor(row)
        images = (review.outlined(row), review.cut_out(row), review.composite(row, donor))
        state = f"{review.name(row)}: {place} of {len(rows)}, mask {review.state(row)}"
        if review.state(row) == REJECTED:
            state += ": it keeps its background"
        unsaved = f"{review.unsaved} changes are not saved" if review.unsaved else ""
        told = ". ".join(filter(None, (note, unsaved, review.refusal)))
        return [place, state, *map(_shown, images), told]

    def turn(self, split: str, only: str, place: float) -> list[Any]:
        """Another picture is shown, whose box is not written yet."""
        return [*self.show(split, only, place), ""]

    def change(
        self, split: str, only: str, place: float, change: Callable[[MaskReview, int], object]
    ) -> list[Any]:
        """Change the mask that is shown; an error of the user's is told."""
        review, note = self.reviews[split], ""
        with self._lock:
            rows = review.order("" if only == ALL else only)
            try:
                if rows:
                    change(review, rows[int(np.clip(place, 1, len(rows))) - 1])
            except UserError as error:
                note = str(error)
            return self.show(split, only, place, note)

    def draw(self, split: str, only: str, place: float, text: str) -> list[Any]:
        """Draw a mask in the box that was written."""
        try:
            left, top, right, bottom = (float(edge) for edge in text.split(","))
        except ValueError:
            wanted = "a box is left, top, right, bottom in pixels, such as 20, 10, 120, 90"
            return self.show(split, only, place, f"{wanted}; received {text}")
        box = (left, top, right, bottom)
        return self.change(split, only, place, lambda review, row: review.draw(row, box))

    def click(
        self, split: str, only: str, place: float, x: float, y: float
    ) -> tuple[str, list[Any] | None]:
        """The box that two clicks make, as text, and what is shown then; None after one click."""
        review = self.reviews[split]
        rows = review.order("" if only == ALL else only)
        height, width = review.source.images.sizes[rows[int(place) - 1]]
        scale = max(height, width) / SHOWN
        here = (x * scale, y * scale)
        if self._corner is None:
            self._corner = here
            return f"{here[0]:.0f}, {here[1]:.0f}, ", None
        text = ", ".join(f"{edge:.0f}" for edge in (*self._corner, *here))
        return text, self.draw(split, only, place, text)

    def save(self, split: str, only: str, place: float) -> list[Any]:
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
        data = Dataset(
            self._dataset.name,
            train,
            {} if split == TRAIN else {split: masked},
            self._dataset.class_names,
            self._dataset.image_shape,
        )
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
    inputs, outputs = [split, only, place], [place, state, *pictures, told]

    def step(by: int) -> Callable:
        return lambda split, only, place: front.turn(split, only, (place or 1) + by)

    def clicked(split: str, only: str, place: float, event: gr.SelectData) -> list[Any]:
        text, shown = front.click(split, only, place, *event.index)
        return [text, *(shown or [gr.skip()] * len(outputs))]

    back.click(step(-1), inputs, [*outputs, box])
    forth.click(step(1), inputs, [*outputs, box])
    place.submit(step(0), inputs, [*outputs, box])
    for choice in (split, only):
        choice.input(lambda *own: front.turn(*own, 1), [split, only], [*outputs, box])
    reject.click(lambda *own: front.change(*own, MaskReview.reject), inputs, outputs)
    keep.click(lambda *own: front.change(*own, MaskReview.keep), inputs, outputs)
    draw.click(front.draw, [*inputs, box], outputs)
    box.submit(front.draw, [*inputs, box], outputs)
    pictures[0].select(clicked, inputs, [box, *outputs])
    save.click(front.save, inputs, outputs)
    gr.on(None, front.show, inputs, outputs)  # when the page is opened


def _shown(image: np.ndarray) -> np.ndarray:
    scale = SHOWN / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=kind)


class Gate:
    """Refuses routes that the app does not need, and tells browsers to load nothing else.

    Args:
        app: what answers the rest.
    """

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if any(part in scope["path"] for part in REFUSED):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            return await send({"type": "http.response.body", "body": b"not a part of this app"})

        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message.get("headers", []), policy]}
            await send(message)

        return await self._app(scope, receive, send_with_policy)


@contextlib.contextmanager
def serve(page: gr.Blocks, folder: pathlib.Path, port: int) -> Iterator[str]:
    """Serve the page on this machine's own address.

    Args:
        page: of `build`.
        folder: of `build`; nothing outside it is served.
        port: 0 takes one that is free.

    Returns:
        The address, as long as it is served.

    Raises:
        UserError: the port is taken.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each request
    try:
        _, address, _ = page.launch(
            server_name=HOST,
            server_port=port or None,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[str(folder)],
            theme=gr.themes.Default(**FONTS).set(**BUTTONS),
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            app_kwargs={
                "middleware": [Middleware(TrustedHostMiddleware, HOSTS), Middleware(Gate)],
                "docs_url": None,
                "redoc_url": None,
            },
        )
    except OSError as error:
        raise UserError(f"--port {port} is taken: name another, or 0 for any") from error
    try:
        yield address
    finally:
        page.close(verbose=False)
