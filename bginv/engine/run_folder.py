"""The folder that a run fills: configuration, checkpoints, metrics, models and pictures."""

import contextlib
import dataclasses
import json
import pathlib
import shlex
import shutil
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import logging

from bginv.engine.common_settings import OF_PHOTOGRAPHS
from bginv.engine.saved_settings import are_settings, differences, read_settings, to_json
from bginv.errors import UserError
from bginv.output_files import (
    OVERWRITE,
    check_writable_folder,
    locked,
    refuse_existing,
    remove_unfinished,
    write_text,
)

CONFIG, METRICS, RESULTS = "config.json", "metrics.jsonl", "results.md"
PRECISION, FOUND = "precision.json", "found.json"
_LEFT_BY_A_RUN = (
    METRICS,
    PRECISION,
    "results.*",
    "report.html",
    "audit.html",
    "classifier.keras",
    "mask_unet.keras",
    "robust_classifier.keras",
    "background_generator_*.keras",
    "pictures/*.png",
    "pictures/strips/*.png",
    "tensorboard/*/events.out.*",
)
_NEEDED_TO_GO_ON = (
    "trained",
    FOUND,
    "checkpoints/*/step-*",
    "checkpoints/*/checkpoint*",
    "masks/*[0-9].png",
    "features/*.npy",
    "emptied/*/*[0-9].jpg",
)
# what has no influence on the steps that workers take together
_OF_ONE_WORKER = ("data_dir", "output", "overwrite", "resume", "run_dir")


def default_run_dir(dataset: str) -> str:
    """Where `bginv run` leaves everything unless told otherwise."""
    prefix = next((own for own in OF_PHOTOGRAPHS if dataset.startswith(own)), "")
    folder = pathlib.Path(dataset.removeprefix(prefix)).expanduser()
    if prefix or folder.is_dir():
        dataset = folder.resolve().stem if folder.is_file() else folder.resolve().name
    return f"runs/{dataset.replace(':', '_').replace('/', '_')}"


def experiment_dir(name: str) -> str:
    """Where an experiment of this name leaves everything, as in the published code of EADER."""
    return f"results/{name}"


def state_folder(run_dir: str | None, output: str | None) -> pathlib.Path | None:
    """Where a command keeps what it needs to go on: the run's folder, or one beside its output."""
    if run_dir:
        return pathlib.Path(run_dir)
    return pathlib.Path(f"{output}.unfinished") if output else None


def kept_settings(run_dir: str | None, output: str | None) -> dict[str, Any]:
    """The settings of a run that `--resume` is to go on with, as they were written.

    Raises:
        UserError: there is no such run.
    """
    state = state_folder(run_dir, output)
    if state is None:
        raise UserError("--resume needs the --run-dir or the --output of the run to go on with")
    if not (state / CONFIG).is_file():
        raise UserError(f"--resume: {state} holds no run that could go on; leave --resume out")
    return read_settings(state / CONFIG)


def command_line() -> str:
    """The command of this process, as a shell takes it."""
    program = pathlib.Path(sys.argv[0]).name
    if program == "__main__.py":
        program = "bginv"
    words = [program, *sys.argv[1:]]
    return shlex.join(["python", *words] if program.endswith(".py") else words)


class RunFolder:
    """Where a run leaves what it makes, and finds it when the same command comes again.

    A run without `run_dir` leaves nothing there; if it has an output, its checkpoints stand in a
    folder beside that until it is written.

    Args:
        run_dir: the folder, or None.
        output: the file that the run ends with, or None.
        overwrite: begin again in a folder that has something in it.
        settings: of the run and its phases, by name.
        command: what began it; None means that of this process.

    Raises:
        UserError: the folder holds something else, or a run made with other settings, or it
            cannot be written.

    Attributes:
        path: `run_dir`.
        goes_on: whether a run begun by the same command is there.
        may_replace: whether the output may be there: the run may overwrite it, or wrote it.
    """

    def __init__(
        self,
        run_dir: str | None,
        output: str | None,
        overwrite: bool,
        settings: Mapping[str, Any],
        command: str | None = None,
    ):
        self._command = command_line() if command is None else command
        self.path = None if run_dir is None else pathlib.Path(run_dir)
        self.goes_on, self.may_replace = False, overwrite
        self._state, self._settings = state_folder(run_dir, output), settings
        self._inputs: Mapping[str, int] = {}
        if self._state is None:
            return
        check_writable_folder(self._state)
        self._config_was_there = self._config.is_file()
        if self._config_was_there and not overwrite:
            kept = read_settings(self._config)
            self._refuse(differences(kept, settings))
            self.goes_on = True
            self.may_replace = (self._state / "trained").exists() or any(
                section.get("overwrite") for section in kept.values()
            )
        else:
            refuse_existing([self._state], overwrite)
            self._check_is_ours()

    def check_inputs(self, inputs: Mapping[str, int]) -> None:
        """Raise if a run that goes on would see other data or models than it began with.

        Args:
            inputs: a number for each, that changes with its content.

        Raises:
            UserError: it names what has changed.
        """
        self._inputs = inputs
        if self.goes_on:
            kept = read_settings(self._config).get("inputs", {})
            # an earlier version may have noted fewer
            changed = [name for name, number in inputs.items() if kept.get(name, number) != number]
            self._refuse([f"{name}: another content" for name in changed])

    def check_found(self, name: str, number: int) -> None:
        """As `check_inputs`, of what a run finds on its way, such as masks.

        Args:
            name: of what was found.
            number: that changes with its content.
        """
        if not self._state:
            return
        file = self._state / FOUND
        kept = _kept_in(file)
        if kept.get(name, number) != number:
            self._refuse([f"{name}: another content"])
        write_text(file, json.dumps({**kept, name: number}) + "\n")

    def number(self) -> int:
        """A number that stands for the settings and inputs that workers have to agree on."""
        settings = {
            name: {
                key: value
                for key, value in dataclasses.asdict(config).items()
                if key not in _OF_ONE_WORKER
            }
            for name, config in self._settings.items()
        }
        return zlib.crc32(repr((settings, sorted(self._inputs.items()))).encode())

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and write the configuration; nobody else may open it meanwhile.

        Unless the run goes on, what an earlier run left is removed.

        Raises:
            BlockingIOError: another process has opened it, or has done so since it was checked.
        """
        if not self._state:
            yield
            return
        with locked(self._state):
            remove_unfinished(self._state)
            if self._config.is_file() is not self._config_was_there:
                raise BlockingIOError(f"another process was at work in {self._state}: try again")
            if not self.goes_on:
                self._remove_all()
                command = {"line": self._command}
                kept = to_json(**self._settings, inputs=self._inputs, command=command)
                write_text(self._config, kept)
            if self.metrics_file:
                self.metrics_file.touch()
            yield

    def checkpoints(self, phase: str) -> pathlib.Path | None:
        """Folder of a phase's checkpoints, or None."""
        return self._state and self._state / "checkpoints" / phase

    def kept_precision(self, phase: str, chosen: str) -> str:
        """The precision that a phase was begun in, which another machine might not choose.

        Args:
            phase: its name.
            chosen: for this machine; kept, if the phase begins now.
        """
        if not self._state:
            return chosen
        file = self._state / PRECISION
        kept = _kept_in(file)
        if phase not in kept:
            write_text(file, json.dumps({**kept, phase: chosen}, indent=2) + "\n")
        elif kept[phase] != chosen:
            logging.info(
                "%s: layers compute in %s, as the run began; this machine would take %s",
                *(phase, kept[phase], chosen),
            )
        return kept.get(phase, chosen)

    @property
    def masks(self) -> pathlib.Path | None:
        """Folder of the masks of images in files, or None."""
        return self._state and self._state / "masks"

    @property
    def features(self) -> pathlib.Path:
        """Folder of the features of a frozen network, for a run that has a folder."""
        return self._state / "features"

    def emptied(self, split: str) -> pathlib.Path:
        """Folder of a split's images without their objects, for a run that has a folder."""
        return self._state / "emptied" / split

    def has_results(self) -> bool:
        """Whether a run begun by the same command is there, and was finished."""
        return bool(self.path and self.goes_on and (self.path / RESULTS).exists())

    def mark_trained(self) -> None:
        """From here on, the output may be there because this run wrote it."""
        if self._state:
            write_text(self._state / "trained", "")

    def finished(self) -> None:
        """Remove what a run needs only to go on, as its output is written."""
        if self._state and not self.path:
            self._remove_all()
            with contextlib.suppress(OSError):  # something of the user's may lie there
                self._state.rmdir()
        elif self._state:
            self._remove(_NEEDED_TO_GO_ON)

    @property
    def metrics_file(self) -> pathlib.Path | None:
        """JSON lines, or None."""
        return self.path and self.path / METRICS

    @property
    def pictures(self) -> pathlib.Path | None:
        """Folder of the pictures, or None."""
        return self.path and self.path / "pictures"

    @property
    def strips(self) -> pathlib.Path:
        """Folder of the strips of a run that has pictures."""
        return self.path / "pictures" / "strips"

    @property
    def _config(self) -> pathlib.Path:
        return self._state / CONFIG

    def _refuse(self, changed: list[str]) -> None:
        if changed:
            raise UserError(
                f"{self._state} holds a run made with other settings ({'; '.join(changed)}): give "
                f"those, or choose another place, or {OVERWRITE} to begin again"
            )

    def _check_is_ours(self) -> None:
        """Raise if beginning again would remove what no run has left.

        Raises:
            UserError: it names such a file.
        """
        if self._config_was_there:
            found = [] if are_settings(self._config) else [self._config]
        else:
            found = [file for pattern in _LEFT_BY_A_RUN for file in self._state.glob(pattern)]
        if found:
            raise UserError(f"{found[0]} is not of a run: choose a folder for the run alone")

    def _remove_all(self) -> None:
        self._remove((*_LEFT_BY_A_RUN, *_NEEDED_TO_GO_ON, CONFIG))

    def _remove(self, patterns: Iterable[str]) -> None:
        """Remove files of ours, and the folders that they leave empty."""
        for pattern in patterns:
            for old in self._state.glob(pattern):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        parents = ("checkpoints", "emptied")
        for folder in (
            *(own for parent in parents for own in self._state.glob(f"{parent}/*/")),
            *(self._state / parent for parent in parents),
            self.masks,
            self.features,
        ):
            with contextlib.suppress(OSError):  # something of the user's may lie there
                remove_unfinished(folder)
                folder.rmdir()


def _kept_in(file: pathlib.Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where it is not there."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
