"""DeepLab: parity with the published code, and what adaptation needs of it."""

import keras
import numpy as np
import pytest

from bginv.nn.backbones import DEEPLAB_MEAN
from bginv.nn.deeplab import build_deeplab, build_segmenter
from bginv.ops.geometry import resize_aligned
from tests.golden_weights import blocky, fill_named


def in_unit_range(images: np.ndarray) -> np.ndarray:
    """What DeepLab's preprocessing turns into these images."""
    return ((images + DEEPLAB_MEAN) / 255)[..., ::-1].astype(np.float32)


def close(value, expected, tolerance: float = 1e-4):
    value = np.moveaxis(np.asarray(value), -1, 1)[:, : expected.shape[1]]
    assert value.shape == expected.shape
    assert np.abs(value - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize(("aspp", "prefix"), [("reference", ""), ("paper", "all4_")])
def test_parity_of_the_residual_network(golden_arrays, golden_json, aspp, prefix):
    facts, reference = (
        golden_json("adaptseg_deeplab_multi"),
        golden_arrays("adaptseg_deeplab_multi"),
    )
    model = build_deeplab("DeepLab", facts["classes"], aspp=aspp)
    fill_named(model, facts["prefix"], facts["residual_bn"])
    for place, one in enumerate(facts["inputs"]):
        images = in_unit_range(blocky(one["seed"], tuple(one["shape"])))
        outputs = model(images, training=False)
        for name, theirs in (("auxiliary", "head1"), ("logits", "head2")):
            close(outputs[name], reference[f"input{place}__{prefix}{theirs}"])
        close(outputs["features"], reference[f"input{place}__layer4_slice"])


def test_parity_of_the_vgg(golden_arrays, golden_json):
    facts, reference = golden_json("adaptseg_deeplab_vgg"), golden_arrays("adaptseg_deeplab_vgg")
    model = build_deeplab("DeeplabVGG", 19)
    fill_named(model, facts["prefix"])
    outputs = model(in_unit_range(blocky(3103, (1, 3, 65, 65))), training=False)
    close(outputs["logits"], reference["logits"])
    close(outputs["features"], reference["features_slice"])
    found = [outputs["features"].numpy().mean(), outputs["features"].numpy().std()]
    np.testing.assert_allclose(found, reference["features_mean_std"], rtol=1e-3)
    assert "auxiliary" not in model.output


@pytest.mark.slow
def test_scale_and_shift_stay_fixed_after_loading_too(tmp_path):
    model = build_deeplab("DeepLab", 3)
    model.save(tmp_path / "a.keras")
    for own in (model, keras.models.load_model(tmp_path / "a.keras", safe_mode=True)):
        names = {weight.name for weight in own.trainable_weights}
        assert names == {"kernel", "bias"}
        assert len(own.trainable_weights) == 104 + 8
    assert {weight.name for weight in build_deeplab("light", 3).trainable_weights} > names


@pytest.mark.parametrize("size", [(64, 64), (65, 97)])
def test_the_model_to_ship_gives_logits_at_the_size_of_any_image(size):
    deeplab = build_deeplab("light", 3, auxiliary=False, seed=1)
    images = np.random.default_rng(1).random((2, *size, 3), np.float32)
    logits = build_segmenter(deeplab)(images)
    assert logits.shape == (2, *size, 3)
    np.testing.assert_array_equal(logits, resize_aligned(deeplab(images)["logits"], size))


def test_unknown_names_are_listed():
    with pytest.raises(ValueError, match="one of DeepLab, DeeplabVGG, light; received 'x'"):
        build_deeplab("x", 3)
    with pytest.raises(ValueError, match="one of reference, paper; received 'x'"):
        build_deeplab("light", 3, aspp="x")
