"""`bginv.audit`: figures, verdicts, and what it refuses."""

import dataclasses
import json

import keras
import numpy as np
import pytest

import bginv
from bginv.auditing.result import SCHEMA
from bginv.auditing.verdict import verdict_of
from bginv.evaluation.groups import GroupAccuracies
from tests.auditing.independent import figures

SIDE, CLASSES, COUNT = 24, 3, 150
GROUNDS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
OBJECTS = np.array([[250, 250, 0], [250, 0, 250], [0, 250, 250]], np.uint8)


def pictures(trapped: bool, seed: int = 0):
    """Squares of a colour for each class; on grounds of a colour for each class, if trapped."""
    rng = np.random.default_rng(seed)
    labels = np.arange(COUNT) % CLASSES
    grounds = labels if trapped else rng.integers(0, CLASSES, COUNT)
    images = GROUNDS[grounds][:, None, None] + rng.integers(-30, 30, (COUNT, SIDE, SIDE, 3))
    images = np.clip(images, 0, 255).astype(np.uint8)
    masks = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    for row, label in enumerate(labels):
        top, left = rng.integers(2, SIDE - 10, 2)
        images[row, top : top + 8, left : left + 8] = OBJECTS[label]
        masks[row, top : top + 8, left : left + 8] = 255
    return images, labels, masks


def nearest(colours: np.ndarray, corner: bool):
    """A model that tells the class by a colour, of the corner or of the object."""

    def scores(images: np.ndarray) -> np.ndarray:
        pixels = images.reshape(len(images), -1, 3) * 255
        if corner:
            pixels = pixels[:, :1]
        distance = np.abs(pixels[:, :, None] - colours).sum(-1)
        return -distance.min(1)

    return scores


LOOKS_AT_GROUND, LOOKS_AT_OBJECT = (
    nearest(GROUNDS.astype(float), True),
    nearest(OBJECTS * 1.0, False),
)


def audit(model, trapped=True, **settings):
    images, labels, masks = pictures(trapped)
    data = {"train": (images, labels), "test": (images, labels)}
    return bginv.audit(model, data, masks, **settings)


def test_figures_are_those_of_an_independent_script():
    images, labels, masks = pictures(True)
    model = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    result = audit(model)
    wanted = figures(
        images, masks, labels, result.donors,
        lambda shown: model.predict(shown / 255, verbose=0).argmax(-1),
    )  # fmt: skip
    found = result.models[0]
    for name, own in wanted.items():
        assert found.figure(name).value == pytest.approx(own, abs=1e-6), name


def test_models_that_differ_in_a_layer_without_weights_are_told_apart():
    def model(*front: keras.layers.Layer) -> keras.Model:
        dense = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(0))
        shape = keras.Input((SIDE, SIDE, 3))
        return keras.Sequential([shape, *front, keras.layers.Flatten(), dense])

    def inverted() -> keras.Model:
        return model(keras.layers.Lambda(lambda images: 1 - images))

    both, alone = audit([model(), inverted()]), audit(inverted())
    found = [own.figure("clean").value for own in both.models]
    assert found[1] == alone.models[0].figure("clean").value != found[0]


def test_a_model_of_any_size_is_asked(monkeypatch):
    monkeypatch.setattr("bginv.nn.inference.MANY_PIXELS", 1)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(image)))
    assert 0 <= audit(model).models[0].figure("clean").value <= 1


def test_a_model_of_the_ground_is_found_out():
    result = audit(LOOKS_AT_GROUND)
    model = result.models[0]
    assert model.figure("only_bg").value == 1 and model.gap.low > 0.5
    assert model.changed.value == 1
    assert "looks at the background" in result.verdict and "at every class" in result.verdict
    assert "alone tell 100 % of the classes" in result.verdict
    assert all(pull.share == 1 and pull.elsewhere == 0 for pull in model.pulls)


def test_a_good_model_on_trapped_pictures_cannot_be_proven():
    result = audit(LOOKS_AT_OBJECT)
    assert result.models[0].gap.value == 0 and "cannot prove" in result.verdict


def test_a_good_model_on_fair_pictures_is_told_so():
    result = audit(LOOKS_AT_OBJECT, trapped=False)
    assert not result.trap.tells
    assert "does not look at the background" in result.verdict


def test_a_model_that_follows_the_place_is_told_so_whatever_its_gap():
    """On a test where all places come as often, there is no gap to see."""
    result = audit(LOOKS_AT_OBJECT, trapped=False)
    names = ("0", "1", "2")
    groups = GroupAccuracies(("0/sea", "0/land", "1/sea", "1/land"), (20, 49, 50, 48), (50,) * 4)
    model = dataclasses.replace(result.models[0], groups=groups)
    first, second = verdict_of(model, result.masks, None, names)[:2]
    assert first.startswith(
        f"{model.name} follows the place: it gets 98 % of 0/land right, and 40 %"
    )
    assert "--balance groups" in second
    even = dataclasses.replace(groups, correct=(47, 49, 50, 48))
    told = verdict_of(dataclasses.replace(model, groups=even), result.masks, None, names)
    assert "does not look at the background" in told[0]


def test_models_side_by_side():
    result = audit([LOOKS_AT_GROUND, LOOKS_AT_OBJECT])
    found = result.compare(*result.models)
    assert found["gap"].high < 0 and found["mixed_rand"].low > 0.5
    assert len(result.comparisons()) == 1
    assert max(map(len, result.table().splitlines())) <= 80


def test_json_has_the_documented_form(tmp_path):
    audit(LOOKS_AT_GROUND).write_json(tmp_path / "audit.json")
    held = json.loads((tmp_path / "audit.json").read_text())
    assert held["schema"] == SCHEMA
    (model,) = held["models"]
    for name in ("clean", "only_fg", "no_fg", "only_bg", "mixed_same", "mixed_rand", "mixed_next"):
        own = model["tests"][name]
        assert 0 <= own["low"] <= own["accuracy"] <= own["high"] <= 1 and own["count"] == COUNT
    assert model["gap"]["low"] < model["gap"]["value"] < model["gap"]["high"]
    assert held["data"]["pictures"] == COUNT and held["masks"]["usable"] is True


def test_the_same_seed_gives_the_same_figures():
    one, other = (audit(LOOKS_AT_GROUND, seed=3).as_json() for _ in range(2))
    one.pop("seconds"), other.pop("seconds")
    assert one == other


def test_bytes_are_found_out_to_be_what_a_model_takes():
    image = keras.Input((SIDE, SIDE, 3))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(scaled)))
    assert "0 to 255" in audit(model).models[0].pixels


def test_answers_of_another_order_are_told():
    result = audit(lambda images: LOOKS_AT_OBJECT(images)[:, [1, 2, 0]])
    assert "another order" in result.verdict and "no verdict" in result.verdict


def test_classes_are_matched_by_name_and_map():
    def model(images):
        scores = LOOKS_AT_OBJECT(images)
        return np.stack([scores[:, 2], scores[:, 0], scores[:, 1], scores[:, 1] - 1], -1)

    by_name = audit(model, labels=["2", "0", "1", "other"])
    by_map = audit(model, class_map={"0": [1], "1": [2, 3], "2": [0]})
    assert by_name.models[0].figure("clean").value == by_map.models[0].figure("clean").value == 1


def test_a_model_that_answers_by_chance_is_doubted():
    rng = np.random.default_rng(0)
    verdict = audit(lambda images: rng.normal(size=(len(images), CLASSES))).verdict
    assert "other answers the second time" in verdict and "no verdict" in verdict


def test_masks_of_everything_leave_no_verdict():
    images, labels, masks = pictures(True)
    half = masks.copy()
    half[:90] = 255
    result = bginv.audit(
        LOOKS_AT_GROUND, {"train": (images, labels), "test": (images, labels)}, half
    )
    assert "no verdict" in result.verdict and "60% of the pictures have no mask" in result.verdict


REFUSED = {
    "NaN": (lambda images: np.full((len(images), 3), np.nan), {}, "NaN or infinite"),
    "a number in all": (lambda images: 0.0, {}, r"scores of shape \(\)"),
    "too many axes": (lambda images: images, {}, "scores of shape"),
    "fails": (lambda images: 1 / 0, {}, "cannot take images of 24x24x3: division by zero"),
    "other classes": (lambda images: np.zeros((len(images), 5)), {}, "5 classes.*have 3: 0, 1, 2"),
    "unknown names": (LOOKS_AT_GROUND, {"labels": ["0", "1", "x"]}, "no class 2; it has 0, 1, x"),
    "too few names": (LOOKS_AT_GROUND, {"labels": ["0", "1"]}, "3 outputs, but 2 names"),
    "map of other classes": (LOOKS_AT_GROUND, {"class_map": {"x": [0]}}, "x, which is no class"),
    "map of other outputs": (LOOKS_AT_GROUND, {"class_map": {"0": [7]}}, "output 7.*from 0 to 2"),
    "map without a class": (LOOKS_AT_GROUND, {"class_map": {"0": [0]}}, "no output for 1, 2"),
    "no split": (LOOKS_AT_GROUND, {"split": "holiday"}, "'holiday' is not there; arrays has test"),
    "no draws": (LOOKS_AT_GROUND, {"draws": 0}, "draws must be at least 1"),
    "no model": (3, {}, "received int"),
    "grey": (
        keras.Sequential(
            [keras.Input((SIDE, SIDE, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        ),
        {},
        "takes images of 1 channels, and the pictures have 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    model, settings, message = REFUSED[name]
    with pytest.raises(bginv.UserError, match=message):
        audit(model, **settings)


def test_pictures_of_one_class_are_refused():
    images, labels, masks = pictures(True)
    only = labels == 0
    with pytest.raises(bginv.UserError, match="of two classes or more"):
        bginv.audit(
            LOOKS_AT_GROUND,
            {"train": (images, labels), "test": (images[only], labels[only])},
            masks[only],
        )


def test_few_and_missing_classes_are_named():
    images, labels, masks = pictures(True)
    some = np.flatnonzero(labels != 2)[:30]
    data = {"train": (images, labels), "test": (images[some], labels[some])}
    verdict = bginv.audit(LOOKS_AT_GROUND, data, masks[some]).verdict
    assert "Fewer than 30 pictures: 0 (15), 1 (15)" in verdict and "No picture shows 2" in verdict


def test_a_trap_of_one_class_is_named():
    """Nine of ten pictures of a class share a ground, and the others have any."""
    images, labels, masks = pictures(False)
    plain = np.array([90, 90, 90], np.uint8)
    for row in np.flatnonzero(labels == 1)[:45]:
        images[row] = np.where(masks[row][..., None] > 0, images[row], plain)
    data = {"train": (images, labels), "test": (images, labels)}
    result = bginv.audit(LOOKS_AT_OBJECT, data, masks)
    assert result.trap.classes == [1]
    assert "most of all of 1:" in result.verdict


@pytest.mark.slow
@pytest.mark.parametrize("name, tells", [("shapes", True), ("shapes_unbiased", False)])
def test_the_trap_of_shapes_is_found(name, tells):
    model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(6))
    result = bginv.audit(model, name, limit=120, draws=1)
    assert result.trap.tells == tells and bool(result.trap.classes) == tells


def test_names_are_text_on_the_page(tmp_path):
    images, labels, masks = pictures(True)
    names = np.array(["<b>x</b>", "$y_1^", "z|\n\u202e"])[labels]
    data = {"train": (images, names), "test": (images, names)}
    result = bginv.audit([LOOKS_AT_GROUND, LOOKS_AT_OBJECT], data, masks)
    result.write_page(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert "&lt;b&gt;x&lt;/b&gt;" in page and "<b>" not in page
    assert "<b>" not in result._repr_html_()
    assert max(map(len, result.table().splitlines())) <= 80


def test_arrays_alone_are_looked_at_as_a_whole():
    images, labels, masks = pictures(True)
    assert len(bginv.audit(LOOKS_AT_OBJECT, (images, labels), masks).labels) == COUNT
    with pytest.raises(bginv.UserError, match=r"must be \(150, 24, 24, 1\).* received \(90, "):
        bginv.audit(LOOKS_AT_OBJECT, (images, labels), masks[:90])


def test_very_many_pictures_are_sampled_and_told(caplog, monkeypatch):
    monkeypatch.setattr("bginv.library.audit.MOST_PICTURES", 60)
    assert len(audit(LOOKS_AT_OBJECT).labels) == 60
    assert "60 of 150 pictures are looked at: limit=N takes more" in caplog.text
    assert len(audit(LOOKS_AT_OBJECT, limit=90).labels) == 90


@pytest.mark.parametrize("order", [("0", "1"), ("1", "0")])
def test_one_logit_tells_two_classes_apart(order):
    """One that is in [0, 1] on every picture is a logit all the same, and classes may be turned."""
    images, labels, masks = pictures(False)
    two = labels < 2
    image = keras.Input((SIDE, SIDE, 3))
    last = keras.layers.Dense(1)
    model = keras.Model(image, last(keras.layers.GlobalAveragePooling2D()(image)))
    last.set_weights([np.zeros((3, 1), np.float32), np.float32([0.3])])
    data = {"train": (images[two], labels[two]), "test": (images[two], labels[two])}
    result = bginv.audit(model, data, masks[two], labels=list(order))
    answered = result.models[0].scored.classes["clean"]
    assert (answered == int(order[1])).all()
    assert "0 to 1" in result.models[0].pixels
