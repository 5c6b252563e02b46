"""Launchers of clusters give each process its `TF_CONFIG`, and commands that there are."""

import os
import pathlib
import runpy
import subprocess
import sys

import keras
import numpy as np
import pytest
import yaml

from bginv import cli
from tests.programs import ROOT, free_ports

CLUSTER = ROOT / "examples/cluster"
TRAIN = ("train1", "digits", "--limit", "40", "--batchsize", "8", "--steps", "4")
STUBS = {
    "scontrol": 'printf "localhost\\nlocalhost\\n"',
    "srun": 'for i in 0 1; do SLURM_PROCID=$i "$@" & done; wait -n && wait',
    "bginv": f'exec {sys.executable} -m bginv "$@"',
}
"""What stands for the programs of a cluster whose two nodes are this machine."""


@pytest.mark.slow
def test_slurm_starts_two_workers_that_train_as_one(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in STUBS.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_NODELIST": "nodes[0-1]",
        "FIRST_PORT": str(free_ports(1)[0]),
    }
    ended = subprocess.run(
        [CLUSTER / "slurm.sh", *TRAIN, "--output", "two.keras"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("wrote two.keras") == 1
    one = [sys.executable, "-m", "bginv", *TRAIN, "--output", "one.keras"]
    subprocess.run(one, cwd=tmp_path, env=environment, check=True, capture_output=True)
    weights = (
        keras.models.load_model(tmp_path / f"{name}.keras").get_weights() for name in ("one", "two")
    )
    for expected, found in zip(*weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_job_of_kubernetes_runs_a_command_that_there_is():
    job = yaml.safe_load((CLUSTER / "kubernetes.yaml").read_text())
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    assert worker["replicas"] == 2 and container["command"] == ["bginv"]
    settings = cli.parse(container["args"])
    assert settings.distribute == "multiworker" and settings.batchsize == 512


def test_a_worker_of_ray_runs_the_command(monkeypatch):
    ran = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append((command, check)))
    program = runpy.run_path(str(pathlib.Path(CLUSTER, "ray_train.py")))
    program["work"]({"command": ["run", "mnist"]})
    assert ran == [(["bginv", "run", "mnist", "--distribute", "multiworker"], True)]
