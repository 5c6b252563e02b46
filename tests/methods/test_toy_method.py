"""A new method is one folder and one line: a toy runs from the command line and in Python."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.settings import resolve
from bginv.subcommands import COMMANDS, Command

TOY = """
import dataclasses

import keras
import tensorflow as tf

from bginv.engine.settings import setting
from bginv.engine.experiment import Experiment, Stage, inputs, load, print_accuracies
from bginv.nn.paper_networks import build_classifier
from bginv.ops.augment import Augmentation
from bginv.ops.losses import cross_entropy
from bginv.engine.common_settings import PhaseSettings
from bginv.engine.method import Method


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToySettings(PhaseSettings):
    learning_rate: float = setting(0.1, minimum=0, help="of SGD")


class ToyTraining(Method):
    name = "toy"
    augmentation = Augmentation()

    def __init__(self, classifier, settings):
        super().__init__(settings)
        self.classifier = classifier
        self.optimizer = keras.optimizers.SGD(settings.learning_rate)
        self.optimizer.build(classifier.trainable_variables)

    @property
    def models(self):
        return [self.classifier]

    def state(self):
        return {"classifier": self.classifier, "optimizer": self.optimizer}

    def train_step(self, batch, seed):
        with tf.GradientTape() as tape:
            loss = cross_entropy(batch["label"], self.classifier(batch["image"], training=True))
        self.descend(tape, loss, [(self.optimizer, self.classifier)])
        return {"loss": loss}


class ToyExperiment(Experiment):
    name = "train-toy"

    def __init__(self, settings, strategy):
        super().__init__(settings, strategy)
        self.dataset = load(self.settings)
        with strategy.scope():
            classifier = build_classifier(self.dataset.image_shape, self.dataset.num_classes, 1)
            method = ToyTraining(classifier, self.settings)
        self.folder.check_inputs(inputs(self.dataset))
        self.stages = [Stage(method, self.dataset.train, self.settings)]
        self.models = {self.settings.output: classifier}

    def report(self):
        print_accuracies(self.models[self.settings.output], self.dataset, self.folder)
"""
ARGUMENTS = ("digits", "--limit", "64", "--batchsize", "16", "--steps", "8")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The module of the method, and a subcommand of that name."""
    code = TOY.lstrip()
    assert code.count("\n") <= 60
    (tmp_path / "toy_method.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import toy_method

    own = Command("toy_method:ToySettings", "a toy", "toy_method:ToyExperiment")
    monkeypatch.setitem(COMMANDS, "train-toy", own)
    return toy_method


def weights(path) -> list[np.ndarray]:
    return keras.models.load_model(path).get_weights()


def test_a_toy_runs_from_the_command_line_and_in_python_and_goes_on(toy, command, tmp_path):
    code, out, err = command(None, "train-toy", *ARGUMENTS, "--output", "a.keras")
    assert code == 0, err
    assert out.startswith("bginv-train-toy-digits") and out.count(",") >= 2
    settings = {"dataset": "digits", "limit": 64, "batchsize": 16, "steps": 8}
    settings |= {"run_dir": "run", "output": "b.keras", "checkpoint_steps": 4}

    def experiment():
        resolved = resolve(toy.ToySettings, settings, "paper")
        return toy.ToyExperiment(resolved, tf.distribute.get_strategy())

    def stop(epoch: int) -> None:
        raise KeyboardInterrupt

    stopped = experiment()
    stopped.stages[0].after_epoch = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert list((tmp_path / "run").rglob("step-4.index")) and not (tmp_path / "b.keras").exists()
    experiment().run()
    for one, other in zip(*map(weights, ("a.keras", "b.keras")), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "run" / "report.html").exists()
    code, _, err = command(None, "train-toy", *ARGUMENTS, "--learning-rate", "-1")
    assert code == 2 and "--learning-rate must be at least 0" in err
