"""The folder that a run fills: configuration, checkpoints, metrics, models and pictures."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from bginv.artefacts import check_writable, locked, refuse_existing, write_text
from bginv.saved_settings import differences, to_json

_ARTEFACTS = (
    "config.json",
    "metrics.jsonl",
    "results.*",
    "trained",
    "classifier.keras",
    "mask_unet.keras",
    "robust_classifier.keras",
    "background_generator_*.keras",
    "pictures/*.png",
)


def default_run_dir(dataset: str) -> str:
    """Where `bginv run` leaves everything unless told otherwise."""
    return f"runs/{dataset.removeprefix('folder:').strip('/').replace('/', '_')}"


def state_folder(run_dir: str | None, output: str | None) -> pathlib.Path | None:
    """Where a command keeps what it needs to go on: the run's folder, or one beside its output."""
    if run_dir:
        return pathlib.Path(run_dir)
    return pathlib.Path(f"{output}.unfinished") if output else None


def kept_settings(run_dir: str | None, output: str | None) -> str:
    """The configuration (JSON) of a run that `--resume` is to go on with.

    Raises:
        ValueError: there is no such run.
    """
    state = state_folder(run_dir, output)
    if state is None:
        raise ValueError("--resume needs the --run-dir or the --output of the run to go on with")
    if not (state / "config.json").is_file():
        raise ValueError(f"--resume: {state} holds no run that could go on; leave --resume out")
    return (state / "config.json").read_text(encoding="utf-8")


class RunFolder:
    """Where a run leaves what it makes, and finds it when the same command comes again.

    A run without `run_dir` leaves nothing there; if it has an output, its checkpoints stand in a
    folder beside that until it is written.

    Args:
        run_dir: the folder, or None.
        output: the file that the run ends with, or None.
        overwrite: begin again in a folder that has something in it.
        settings: of the run and its phases, by name.

    Raises:
        ValueError: the folder holds something else, or a run made with other settings, or it
            cannot be written.

    Attributes:
        path: `run_dir`.
        goes_on: whether a run begun by the same command is there.
    """

    def __init__(
        self,
        run_dir: str | None,
        output: str | None,
        overwrite: bool,
        settings: Mapping[str, Any],
    ):
        self.path = None if run_dir is None else pathlib.Path(run_dir)
        self.goes_on = False
        self._state, self._settings = state_folder(run_dir, output), settings
        self._inputs: Mapping[str, int] = {}
        if self._state is None:
            return
        if self._state.is_file():
            raise ValueError(f"{self._state} is a file, and a folder is needed there")
        if self._config.is_file() and not overwrite:
            self._refuse(differences(self._kept(), settings))
            self.goes_on = True
        else:
            refuse_existing([self._state], overwrite)
        check_writable(self._state)

    def check_inputs(self, inputs: Mapping[str, int]) -> None:
        """Raise if a run that goes on would see other data or models than it began with.

        Args:
            inputs: a number for each, that changes with its content.

        Raises:
            ValueError: it names what has changed.
        """
        self._inputs = inputs
        if self.goes_on:
            kept = self._kept().get("inputs", {})
            changed = [name for name, number in inputs.items() if kept.get(name) != number]
            self._refuse([f"{name}: another content" for name in changed])

    @property
    def trained(self) -> bool:
        """Whether the run is done but for writing its output."""
        return self.goes_on and (self._state / "trained").exists()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and write the configuration; nobody else may open it meanwhile.

        Unless the run goes on, what an earlier run left is removed.

        Raises:
            BlockingIOError: another process has opened it.
        """
        if not self._state:
            yield
            return
        self._state.mkdir(parents=True, exist_ok=True)
        with locked(self._state):
            if not self.goes_on:
                self._remove_artefacts()
                write_text(self._config, to_json(**self._settings, inputs=self._inputs))
            if self.metrics_file:
                self.metrics_file.touch()
            yield

    def checkpoints(self, phase: str) -> pathlib.Path | None:
        """Folder of a phase's checkpoints, or None."""
        return self._state and self._state / "checkpoints" / phase

    @property
    def masks(self) -> pathlib.Path | None:
        """Folder of the masks of images in files, or None."""
        return self._state and self._state / "masks"

    def mark_trained(self) -> None:
        """From here on, the output may be there because this run wrote it."""
        if self._state:
            write_text(self._state / "trained", "")

    def finished(self) -> None:
        """Remove what a run needs only to go on, as its output is written."""
        if self._state and not self.path:
            self._remove_artefacts()
            with contextlib.suppress(OSError):  # something of the user's may lie there
                self._state.rmdir()
        elif self._state:
            self._remove_folders()
            (self._state / "trained").unlink(missing_ok=True)

    @property
    def metrics_file(self) -> pathlib.Path | None:
        """JSON lines, or None."""
        return self.path and self.path / "metrics.jsonl"

    @property
    def pictures(self) -> pathlib.Path | None:
        """Folder of the pictures, or None."""
        return self.path and self.path / "pictures"

    @property
    def _config(self) -> pathlib.Path:
        return self._state / "config.json"

    def _kept(self) -> dict[str, Any]:
        try:
            return json.loads(self._config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self._config} cannot be read ({error}); --overwrite begins again"
            ) from error

    def _refuse(self, changed: list[str]) -> None:
        if changed:
            raise ValueError(
                f"{self._state} holds a run made with other settings ({'; '.join(changed)}): give "
                "those, or choose another place, or --overwrite to begin again"
            )

    def _remove_artefacts(self) -> None:
        for pattern in _ARTEFACTS:
            for old in self._state.glob(pattern):
                old.unlink()
        self._remove_folders()

    def _remove_folders(self) -> None:
        shutil.rmtree(self.checkpoints(""), ignore_errors=True)
        shutil.rmtree(self.masks, ignore_errors=True)
