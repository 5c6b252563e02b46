import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.composites import WithEmptied, emptied
from bginv.data.sources import ArraySource, Dataset
from bginv.engine.loop import seen_batch
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve
from bginv.methods.photographs.experiment import balanced
from bginv.methods.photographs.judging import Judge, Judged, decide
from bginv.methods.photographs.phases import (
    PACES,
    Chosen,
    Phase,
    _choose_share,
    repeat_phase,
    run_phase,
)
from bginv.methods.photographs.settings import PhotographSettings, photographs_fit
from bginv.methods.photographs.training import FineTuning, view
from bginv.nn.fine_tuning import fine_tuned_part
from bginv.report.metrics import training_records
from tests.programs import finish, start_program

SEED = tf.constant([3, 4])


def settings(**given) -> PhotographSettings:
    return resolve(PhotographSettings, {"dataset": "squares", **given}, "photographs")


def squares() -> WithEmptied:
    """Red (0) and green (1) squares; the background's blue goes along with the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = rng.integers(0, 40, (48, 32, 32, 3), np.uint8)
    images[labels == 1, ..., 2] += 200
    masks = np.zeros((48, 32, 32, 1), np.uint8)
    masks[:, 10:22, 10:22] = 255
    for image, label in zip(images, labels, strict=True):
        image[10:22, 10:22] = (220, 30, 60) if label == 0 else (30, 220, 60)
    held = ArraySource(images, labels, masks)
    return WithEmptied(held, emptied(held, pathlib.Path()))


@pytest.fixture
def source() -> WithEmptied:
    return squares()


def phase(source, copies: int | None, epochs: int, held: int = 0, composites: float = 0.7) -> Phase:
    name = "adversarial" if composites else "classifier"
    rows = np.arange(len(source))
    return Phase(name, source, rows[held:], rows[:held], composites, copies, epochs)


def network(seed: int = 0) -> keras.Model:
    image = keras.Input((32, 32, 3))
    initializer = keras.initializers.GlorotUniform(seed)
    x = keras.layers.Conv2D(16, 5, 2, activation="relu", kernel_initializer=initializer)(image)
    x = keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, keras.layers.Dense(2, kernel_initializer=initializer)(x))


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(str(tmp_path / "run"), None, False, {"photographs": settings()})


def test_a_view_is_a_function_of_the_seed_and_changes_backgrounds_alone(source):
    batch = source.gather(tf.range(8, dtype=tf.int64))
    own = settings(smallest_crop=1.0, flip=False, mix=(1.0, 0.0, 0.0, 0.0, 0.0))
    found = view(batch, own, 1.0, SEED)
    np.testing.assert_array_equal(found, view(batch, own, 1.0, SEED))
    inside = found[:, 12:20, 12:20] - batch["image"][:, 12:20, 12:20]
    assert abs(inside.numpy()).max() < 1e-6
    assert abs((found - batch["image"])[:, :8].numpy()).max() > 0.1
    unchanged = view(batch, own, 0.0, SEED)
    np.testing.assert_allclose(unchanged, batch["image"], atol=1e-6)


def test_fine_tuning_moves_what_is_trainable_alone(source):
    classifier = network()
    with fine_tuned_part(classifier, 0.5, True):
        method = FineTuning(classifier, settings(learning_rate=0.01), 10, "adversarial", 0.5)
        before = classifier.get_weights()
        batch = source.gather(tf.range(8, dtype=tf.int64))
        for _ in range(2):  # the rate of the first step is 0, or next to it
            metrics = method.train_step(method.augment_batch(batch, SEED), SEED)
    moved = [
        not np.array_equal(a, b) for a, b in zip(before, classifier.get_weights(), strict=True)
    ]
    assert moved == [False, False, True, True]
    assert np.isfinite(metrics["loss"])


TWO_DEVICES = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from bginv.engine.run_folder import RunFolder
from tests.methods.test_photographs import network, phase, run_phase, settings, squares

own, found = settings(epochs=2, batchsize=16, frozen_share=0.0, learning_rate=0.01), []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        classifier = network()
    folder = RunFolder(f"run{len(found)}", None, False, {"photographs": own})
    with folder.opened():
        run_phase(phase(squares(), 1, 2, composites=0.0), classifier, own, folder, None)
    found.append(classifier.get_weights())
for one, two, start in zip(*found, network().get_weights(), strict=True):
    # rounding turns the sign of a gradient near 0, and Adam's step with it
    assert abs(one - two).mean() < 0.02 * abs(one - start).mean()
"""


@pytest.mark.slow
def test_two_devices_share_each_batch_and_reach_the_weights_of_one(tmp_path):
    finish(start_program(tmp_path, TWO_DEVICES))


def test_consistency_compares_two_views(source):
    method = FineTuning(network(), settings(consistency=2.0), 4, "adversarial", 1.0)
    batch = method.augment_batch(source.gather(tf.range(8, dtype=tf.int64)), SEED)
    assert not np.array_equal(batch["image"], batch["other"])
    found = method.train_step(batch, SEED)
    assert found["disagreement"] > 0
    assert found["loss"] > 2.0 * found["disagreement"]


def test_a_phase_on_other_backgrounds_mends_what_a_clean_one_learned(source, folder):
    classifier, own = network(), settings(epochs=12, learning_rate=0.01, batchsize=16)
    judge = Judge(source, 2, 0)
    with folder.opened():
        first = phase(source.without_masks(), 1, 0, composites=0.0)
        run_phase(first, classifier, own, folder, None)
        before = judge.judge(classifier)
        run_phase(phase(source, 2, 12), classifier, own, folder, judge, before)
    after = judge.judge(classifier)
    assert after.score >= before.score and after.clean >= before.clean - 0.005
    assert after.tests["mixed_rand"] > 0.9
    batches = sorted(folder.strips.glob("batches_*.png"))
    assert len(batches) == 4


def test_fine_tuning_that_does_harm_is_undone(source, folder):
    classifier, own = network(), settings(epochs=1, learning_rate=100.0, batchsize=16)
    judge = Judge(source, 2, 0)
    with folder.opened():
        run_phase(phase(source, 2, 0), classifier, own, folder, judge)
        before = classifier.get_weights()
        chosen = run_phase(phase(source, None, 1), classifier, own, folder, judge)
    for old, new in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (chosen.pace, chosen.share) == (None, 0.0)


@pytest.mark.parametrize("second, expected", [(0.90, 1.0), (0.99, 8.0)])
def test_a_last_layer_is_trained_faster_where_that_is_clearly_better(
    source, folder, second, expected
):
    scores = {1.0: 0.9, 8.0: second}
    heads: dict[float, np.ndarray] = {}

    class Fixed:
        def judge(self, classifier):
            kernel = classifier.get_weights()[-2]
            pace = next((own for own, seen in heads.items() if np.array_equal(seen, kernel)), None)
            if pace is None:
                pace = PACES[len(heads)]
                heads[pace] = kernel
            return judged(1.0, scores[pace])

    classifier = network()
    with folder.opened():
        chosen = run_phase(phase(source, 0, 0), classifier, settings(), folder, Fixed())
    assert chosen.pace == expected
    np.testing.assert_array_equal(classifier.get_weights()[-2], heads[expected])


@pytest.mark.slow
def test_a_phase_is_repeated_on_all_images_and_ends_the_same_when_it_goes_on(source, folder):
    own = settings(epochs=1, learning_rate=0.01, batchsize=16)
    classifier = network()
    start = classifier.get_weights()
    with folder.opened():
        parted = phase(source, 1, 1, held=16)
        judge = Judge(source.take(parted.held), 2, 0)
        run_phase(parted, classifier, own, folder, judge)
        chosen = Chosen(pace=1.0, share=1.0, weights=classifier.get_weights())
        kernels = [chosen.weights[-2]]
        for _ in range(2):
            classifier.set_weights(start)
            repeat_phase(parted, classifier, own, folder, chosen)
            kernels.append(classifier.get_weights()[-2])
    assert not np.allclose(kernels[0], kernels[1], atol=1e-4)
    np.testing.assert_array_equal(kernels[1], kernels[2])
    records = training_records(folder.metrics_file)
    assert {record["phase"] for record in records} == {"adversarial", "adversarial_on_all"}


def test_without_validation_images_fine_tuning_is_kept(source, folder):
    classifier, own = network(), settings(epochs=1, learning_rate=0.01, batchsize=16, average=0)
    before = classifier.get_weights()
    with folder.opened():
        run_phase(phase(source, None, 1), classifier, own, folder, None)
        half = classifier.get_weights()
    moved = [not np.array_equal(old, new) for old, new in zip(before, half, strict=True)]
    assert moved == [False, False, True, True]


def test_pictures_show_the_batch_that_the_step_saw(source):
    method = FineTuning(network(), settings(), 10, "adversarial", 0.5)
    first, again = (seen_batch(method, source, settings(), 3)["image"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, seen_batch(method, source, settings(), 4)["image"])


def test_weights_are_judged_once(source, monkeypatch):
    judge, classifier = Judge(source, 2, 0), network()
    first = judge.judge(classifier)
    monkeypatch.setattr(judge, "_judge", lambda _: None)
    assert judge.judge(classifier) is first
    classifier.set_weights([weight + 1 for weight in classifier.get_weights()])
    assert judge.judge(classifier) is None


def judged(clean: float, other: float, loss: float = 0.1, images: int = 1000) -> Judged:
    return Judged({"clean": clean, "mixed_rand": other}, loss, images)


@pytest.mark.parametrize(
    "after, kept, says",
    [
        (judged(0.99, 0.95), True, "+5.0"),
        (judged(0.986, 0.95), True, "clean -0.4"),
        (judged(0.984, 0.95), False, "clean accuracy fell by 0.6 points"),
        (judged(0.99, 0.89), False, "-1.0"),
        (judged(0.99, 0.90), False, "nothing that was tried"),
        (judged(0.99, 0.90, loss=0.2), False, "+0.0"),
        (judged(0.99, 0.90, loss=0.05), True, "+0.0"),
    ],
)
def test_a_phase_is_kept_where_it_helps_and_does_no_harm(after, kept, says):
    decision = decide(judged(0.99, 0.90), after, 0.5)
    assert decision.kept is kept and says in decision.reason


def test_one_image_is_no_loss_unless_none_is_allowed():
    before, one, two = (judged(count / 50, 0.9 - count / 100, images=50) for count in (50, 49, 48))
    assert decide(before, one, 0.5).kept and not decide(before, two, 0.5).kept
    assert not decide(before, one, 0.0).kept
    assert before.lowest_clean(5.0) == pytest.approx(0.95, abs=1e-5)


@pytest.mark.parametrize(
    "first, scores, expected",
    [
        (0.80, (0.90, 0.89, 0.88), 0.5),  # nobody can tell 200 images' 1 point
        (0.80, (0.90, 0.80, 0.95), 1.0),
        (0.80, (0.90, 0.80, 0.70), 0.0),
        (0.895, (0.90, 0.89, 0.88), 0.0),  # half-way, the phase would be thrown away
    ],
)
def test_half_way_is_kept_unless_another_share_is_better(first, scores, expected):
    classifier = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    others = dict(zip((0.0, 0.5, 1.0), scores, strict=True))

    class Fixed:
        def judge(self, model):
            share = float(model.get_weights()[0].item())
            return judged(1.0, others[share], images=200)

    ends = [[np.zeros((1, 1), np.float32)], [np.ones((1, 1), np.float32)]]
    own = judged(1.0, first, images=200)
    assert _choose_share(classifier, *ends, Fixed(), own, 0.0) == expected


def test_images_as_they_are_do_not_count_among_backgrounds():
    tests = {"clean": 1.0, "mixed_rand": 0.8, "only_fg": 0.7}
    assert Judged(tests, 0.1, 10).backgrounds == 0.75
    assert Judged({"clean": 0.9}, 0.1, 10).backgrounds == 0.9


def test_the_score_looks_at_accuracy_first():
    assert judged(1, 0.95, loss=0.3).score > judged(1, 0.94, loss=0.1).score
    assert judged(1, 0.95, loss=0.1).score > judged(1, 0.95, loss=0.2).score
    assert np.isfinite(dataclasses.replace(judged(1, 1), loss=np.inf).score)


def photographs(root: pathlib.Path, side: int) -> dict:
    for name in ("a", "b"):
        (root / "train" / name).mkdir(parents=True)
        image = np.zeros((side, side + 10, 3), np.uint8)
        tf.io.write_file(str(root / "train" / name / "1.png"), tf.io.encode_png(image))
    return {"dataset": f"folder:{root}"}


def test_folders_of_photographs_get_their_recipe(tmp_path):
    given = photographs(tmp_path / "large", 128)
    assert photographs_fit(given) == (True, "")
    assert photographs_fit({**given, "image_size": 64}) == (False, "")
    assert photographs_fit({"dataset": str(tmp_path / "large")}) == (True, "")
    fits, why = photographs_fit({**given, "tiles": (2,)})
    assert not fits and why.startswith("--tiles is of the recipe tuned")
    fits, why = photographs_fit({**given, "distribute": "multiworker"})
    assert not fits and why.startswith("--distribute is of the recipe tuned")
    assert photographs_fit(photographs(tmp_path / "small", 100)) == (False, "")
    placed = tmp_path / "placed"
    photographs(placed, 150)
    for own in list((placed / "train").glob("*/1.png")):
        (own.parent / "sea").mkdir()
        own.rename(own.parent / "sea/1.png")
    assert photographs_fit({"dataset": f"folder:{placed}"}) == (True, "")
    assert photographs_fit({"dataset": f"waterbirds:{placed / 'train'}"}) == (True, "")
    assert photographs_fit({"dataset": "digits"}) == (False, "")
    assert photographs_fit({"dataset": f"folder:{tmp_path / 'none'}"}) == (False, "")


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    given = photographs(tmp_path / "large", 128)
    monkeypatch.setattr("bginv.methods.photographs.settings.is_installed", lambda: False)
    fits, why = photographs_fit(given)
    assert not fits and "pip install 'bginv[photos]'" in why and "\n" not in why


def test_small_classes_and_groups_come_as_often_as_the_largest():
    labels, places = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    source = ArraySource(np.zeros((6, 8, 8, 3), np.uint8), labels)
    shape = (8, 8, 3)
    bare = Dataset("squares", source, {}, ("a", "b"), shape)
    placed = dataclasses.replace(
        bare, train=source.with_places(places), place_names=("sea", "land")
    )
    rows = np.array([0, 1, 2, 3, 4])
    np.testing.assert_array_equal(balanced(bare, rows, "none"), rows)
    np.testing.assert_array_equal(balanced(bare, rows, "classes"), [0, 1, 2, 3, 4, 3])
    np.testing.assert_array_equal(balanced(placed, rows, "groups"), [0, 1, 2, 2, 3, 4])
    with pytest.raises(ValueError, match="--balance groups needs the place of each picture"):
        balanced(bare, rows, "groups")


def test_rows_that_are_repeated_are_trained_on_in_the_end_too(source):
    rows, held = np.arange(40), np.arange(40, 48)
    assert Phase("classifier", source, rows, held, 0.0, 1, 0).everything() is source
    twice = Phase("classifier", source, np.resize(rows, 50), held, 0.0, 1, 0).everything()
    assert len(twice) == 58 and (twice.labels[40:50] == source.labels[:10]).all()
