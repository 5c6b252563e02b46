"""`bginv doctor`: what it tells, and that it survives what it is there to find."""

import os
import subprocess
import sys

import pytest

import bginv
from bginv.commands import doctor
from tests.conftest import ROOT


def lines(out: str) -> dict[str, str]:
    """What is told, by the name of the check."""
    return {line[: doctor.WIDTH].strip(): line[doctor.WIDTH :] for line in out.splitlines()}


def test_it_tells_what_a_report_of_a_fault_needs(command, monkeypatch):
    monkeypatch.setattr(doctor, "_packages", lambda: "checked by another test")
    code, out, err = command(None, "doctor", "--no-step")
    told = lines(out)
    assert code == 0 and out.endswith("nothing is broken\n"), out
    assert told["bginv"].startswith(bginv.__version__)
    for name in ("Python", "TensorFlow", "Keras", "devices", "memory", "disk", "saliency network"):
        assert told[name]
    assert "CPU cores" in told["devices"] and "GB free" in told["memory"]
    assert "a training step" not in told
    assert "\x1b" not in out + err


@pytest.mark.slow
def test_it_times_a_step():
    told = doctor._step()
    assert "ms for 32 images" in told and float(told.split(" ms")[0]) >= 0


def test_a_damaged_saliency_network_is_told(command, tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").write_bytes(b"half of it")
    code, out, _ = command(None, "doctor", "--no-step")
    assert code == 1 and "BROKEN: " in lines(out)["saliency network"]
    assert "is damaged (MD5" in out and "broken: " in out.splitlines()[-1]


def test_requirements_that_are_not_met_are_named(monkeypatch):
    told = ["numpy>=99", "no-such-package>=1", "tqdm>=1", 'onnx>=99; extra == "photos"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: told)
    with pytest.raises(doctor.Broken, match=r"numpy .* is there, >=99 is needed; no-such-package"):
        doctor._packages()
    monkeypatch.setattr(
        doctor.importlib.metadata, "metadata", lambda name: FakeMetadata(["photos", "test"])
    )
    ((name, wrong),) = doctor._extras()
    assert name == "photos" and wrong.endswith("is needed: pip install 'bginv[photos]'")


class FakeMetadata:
    """Of a package, with some extras."""

    def __init__(self, extras: list[str]):
        self._extras = extras

    def get_all(self, name: str) -> list[str]:
        assert name == "Provides-Extra"
        return self._extras


def test_it_works_where_tensorflow_does_not(tmp_path):
    broken = tmp_path / "tensorflow"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('libcudart is missing\\nsecond line')")
    ended = subprocess.run(
        [sys.executable, "-m", "bginv", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    told = lines(ended.stdout)
    assert ended.returncode == 1
    assert told["TensorFlow"] == "BROKEN: ImportError: libcudart is missing"
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
def test_whoever_reads_a_line_only_gets_no_traceback():
    command = [sys.executable, "-m", "bginv", "doctor", "--no-step"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as started:
        assert started.stdout.readline().startswith("bginv ")
        started.stdout.close()
        told = started.stderr.read()
        assert started.wait() == 141
    assert "Traceback" not in told and "Broken pipe" not in told
