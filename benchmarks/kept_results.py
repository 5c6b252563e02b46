"""Figures that stay in a JSON file beside the options that they were measured with."""

import argparse
import json
import pathlib
from collections.abc import Callable, Collection


class KeptResults:
    """Figures of rows and seeds; those that the file holds are not measured again.

    Attributes:
        rows: for each row, figures by seed.

    Args:
        path: the JSON file; it is written after each measurement.
        options: of the command line.
        free: names of options that may differ from those of the figures in the file.

    Raises:
        SystemExit: the file holds figures of other options.
    """

    def __init__(self, path: pathlib.Path, options: argparse.Namespace, free: Collection[str]):
        compared = {name: value for name, value in vars(options).items() if name not in free}
        self.path, self.options = path, json.loads(json.dumps(compared, default=str))
        held = {"options": self.options, "results": {}}
        if path.exists():
            held = json.loads(path.read_text())
        if held.get("options") != self.options:
            raise SystemExit(
                f"{path} holds figures of other options, {held.get('options')}; these are "
                f"{self.options}: name another place for them"
            )
        self.rows: dict[str, dict[str, dict]] = held["results"]

    def complete(self, row: str, seed: int, measure: Callable[[], dict]) -> None:
        """Measure, write and print what the file does not hold yet."""
        own = self.rows.setdefault(row, {})
        if str(seed) in own:
            return
        own[str(seed)] = measure()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        held = {"options": self.options, "results": self.rows}
        self.path.write_text(json.dumps(held, indent=2) + "\n")
        print(row, seed, own[str(seed)], flush=True)
