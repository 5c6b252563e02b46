"""Checkpoints of PyTorch: every form in which the published codes save them."""

import pathlib

import keras
import numpy as np
import pytest

from bginv.interop.torch_weights import load_state, named_weights, read_state
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.methods.erasing.model import build_network
from bginv.nn.backbones import IMAGENET_DEVIATION, IMAGENET_MEAN
from bginv.nn.features import build_features
from bginv.nn.torchvision_networks import RESNETS, VGGS, build_resnet, build_vgg16
from tests.golden_weights import blocky, draw, fill_named, state_of

SHAPE = (32, 32, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manifest", "build"),
    [
        ("manifest_eader_resnet18", lambda: build_network("resnet18", SHAPE, 20)),
        ("manifest_in9_resnet50", lambda: build_network("resnet50", SHAPE, 9)),
        ("manifest_eader_deeplab_largefov", lambda: build_network("deeplab_largefov", SHAPE, 20)),
    ],
)
def test_names_shapes_and_values_are_those_of_the_reference(golden_json, manifest, build):
    facts = golden_json(manifest)
    state = state_of(build(), facts["prefix"], facts["residual_bn"])
    listed = {
        name: (shape, total, norm)
        for name, shape, total, norm in facts["entries"]
        if not name.endswith("num_batches_tracked")
    }
    assert state.keys() == listed.keys()
    for name, array in state.items():
        shape, total, norm = listed[name]
        assert list(array.shape) == shape
        assert float(array.sum(dtype=np.float64)) == pytest.approx(total, abs=1e-4)
        assert np.linalg.norm(array.astype(np.float64)) == pytest.approx(norm, rel=1e-6)


@pytest.fixture
def network() -> keras.Model:
    return build_network("resnet18", SHAPE, 4)


def write(path, state) -> str:
    np.savez(path, **state)
    return str(path)


@pytest.mark.parametrize("prefix", ["", "module.", "module.model.", "model."])
def test_prefixes_of_wrappers_are_dropped(network, tmp_path, prefix):
    state = state_of(network)
    wrapped = {prefix + name: array for name, array in state.items()}
    wrapped |= {f"{prefix}bn1.num_batches_tracked": np.zeros((), np.int64)}
    wrapped |= {"module.normalizer.new_mean": np.zeros(3), "module.attacker.model.fc.bias": [0.0]}
    load_state(network, read_state(write(tmp_path / "a.npz", wrapped)))
    for name, weight in named_weights(network):
        if weight.value.shape.rank == 1:
            np.testing.assert_array_equal(weight, state[name])


def test_a_state_goes_in_and_its_model_gives_the_golden_outputs(tmp_path, golden_arrays):
    reference = golden_arrays("in9_resnet50")
    model = build_network("resnet50", (96, 96, 3), 9)
    state = state_of(model, "in9.", "bn3")
    wrapped = {f"module.model.{name}": array for name, array in state.items()}
    load_state(model, read_state(write(tmp_path / "in9.npz", wrapped)))
    images = np.float32(0.5) + np.float32(0.3) * blocky(4151, (2, 3, 96, 96))
    own = (0.4717, 0.4499, 0.3837), (0.2600, 0.2516, 0.2575)
    normalized = (np.clip(images, 0, 1) - own[0]) / own[1]
    found = model((normalized * IMAGENET_DEVIATION + IMAGENET_MEAN).astype(np.float32))
    expected = reference["logits"]
    assert np.abs(found["logits"] - expected).max() < 1e-4 * np.abs(expected).max()


def test_everything_that_does_not_fit_is_named_and_nothing_is_changed(network):
    state = state_of(network)
    before = [weight.numpy() for weight in network.weights]
    del state["layer1.0.bn1.running_var"]
    state["extra.weight"] = np.zeros(3)
    state["fc.weight"] = np.zeros((5, 512))
    with pytest.raises(ValueError) as error:
        load_state(network, state, "a.pth")
    message = str(error.value)
    assert message.startswith("a.pth does not fit resnet18: ")
    assert "1 missing: layer1.0.bn1.running_var" in message
    assert "1 without a place: extra.weight" in message
    assert "1 of another shape: fc.weight 5x512 instead of 4x512" in message
    for array, weight in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(array, weight)


def test_a_head_for_other_classes_may_be_left_unused():
    features = build_features("resnet18", SHAPE)
    state = {**state_of(features), "fc.weight": np.zeros((1000, 512)), "fc.bias": np.zeros(1000)}
    with pytest.raises(ValueError, match="2 without a place: fc.bias, fc.weight"):
        load_state(features, state)
    load_state(features, state, unused=("fc.",))
    np.testing.assert_array_equal(named(features)["bn1.bias"], state["bn1.bias"])


def named(model: keras.Model) -> dict:
    return dict(named_weights(model))


def test_names_of_the_port_of_acol():
    """Its backbone is a sequence: conv1, bn1, relu, pool, then the stages."""
    features = build_features("resnet50", SHAPE)
    classifiers = build_classifiers(features.output_shape[1:], 4, "pn")
    model = build_acol(features, classifiers, [0.9])
    assert {"classifiers.0p.0.weight", "classifiers.1n.0.bias"} <= named(model).keys()
    places = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    state = {}
    for name, array in state_of(model).items():
        stem, rest = name.split(".", 1)
        state[f"backbone.{places[stem]}.{rest}" if stem in places else name] = array
    from bginv.interop import torch_weights

    plain = {torch_weights._plain_name(name): array for name, array in state.items()}
    load_state(model, plain)
    np.testing.assert_array_equal(
        named(model)["layer4.2.bn3.bias"], draw("layer4.2.bn3.bias", (2048,))
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet34", "resnet101", "wide_resnet50", "resnet101deeplab"])
def test_every_name_is_used_once(kind):
    model = build_resnet(RESNETS[kind], (64, 64, 3))
    names = [name for name, _ in named_weights(model)]
    assert len(names) == len(set(names)) == len(model.weights)


@pytest.mark.slow
def test_dilated_stages_keep_their_size():
    assert build_resnet(RESNETS["resnet101"], (64, 64, 3)).output_shape[1:3] == (2, 2)
    assert build_resnet(RESNETS["resnet101deeplab"], (64, 64, 3)).output_shape[1:3] == (8, 8)
    assert build_vgg16(VGGS["vgg16"], (64, 64, 3)).output_shape[1:3] == (2, 2)
    assert build_vgg16(VGGS["deeplab_largefov"], (64, 64, 3)).output_shape[1:3] == (8, 8)


def test_not_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_state(tmp_path / "missing.npz")
    broken = tmp_path / "broken.npz"
    whole = pathlib.Path(write(tmp_path / "whole.npz", {"a": np.zeros(9)})).read_bytes()
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    for content in (b"PK nothing", whole[:-20], array.read_bytes(), b""):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match="broken.npz is not an .npz file of arrays"):
            read_state(broken)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is not an .npz file of arrays"):
        read_state(pickled)
    with pytest.raises(ValueError, match="holds no weights"):
        read_state(write(tmp_path / "empty.npz", {"bn1.num_batches_tracked": np.zeros(1)}))


class TestWithTorch:
    """Files that torch itself wrote."""

    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", reason="PyTorch is optional")

    def save(self, torch, path, content) -> str:
        torch.save(content, path)
        return str(path)

    def tensors(self, torch, state, prefix="") -> dict:
        return {prefix + name: torch.from_numpy(np.array(own)) for name, own in state.items()}

    @pytest.mark.parametrize("key", [None, "state_dict", "model", "localizer"])
    def test_as_the_codes_save_them(self, torch, network, tmp_path, key):
        state = state_of(network)
        tensors = self.tensors(torch, state, "module." if key == "state_dict" else "")
        tensors["bn1.num_batches_tracked"] = torch.tensor(3)
        content = tensors if key is None else {"epoch": 3, key: tensors, "optimizer": {}}
        found = read_state(self.save(torch, tmp_path / "a.pth.tar", content))
        assert found.keys() == state.keys()
        load_state(network, found)
        for name, array in state.items():
            np.testing.assert_array_equal(found[name], array)

    def test_one_of_two_networks(self, torch, network, tmp_path):
        parts = {
            name: self.tensors(torch, state_of(network, prefix))
            for name, prefix in (("localizer", ""), ("adversarial", "adv."))
        }
        path = self.save(torch, tmp_path / "checkpoint.pth.tar", parts)
        found = read_state(path, "adversarial")
        np.testing.assert_array_equal(found["fc.bias"], draw("adv.fc.bias", (4,)))
        with pytest.raises(ValueError, match="'teacher'; it has adversarial, localizer"):
            read_state(path, "teacher")

    def test_code_is_not_run(self, torch, tmp_path):
        path = self.save(torch, tmp_path / "code.pth", {"state_dict": print})
        with pytest.raises(ValueError, match="cannot be read as a checkpoint of weights alone"):
            read_state(path)

    def test_not_a_state_dict(self, torch, tmp_path):
        path = self.save(torch, tmp_path / "list.pth", [1, 2])
        with pytest.raises(ValueError, match="holds a list, not a state dict"):
            read_state(path)


def test_fill_named_agrees_with_load_state(network):
    other = build_network("resnet18", SHAPE, 4)
    fill_named(network)
    load_state(other, state_of(other))
    for one, two in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, two)
