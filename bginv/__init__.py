"""Image classifiers that ignore the background, by adversarial learning.

>>> import bginv
>>> bginv.load_data("digits").num_classes
10
"""

import importlib
from typing import TYPE_CHECKING

from bginv import errors

if TYPE_CHECKING:
    from bginv import layers
    from bginv.data.catalog import load_data
    from bginv.errors import UserError
    from bginv.library.audit import audit
    from bginv.library.methods import adversarial_training, classifier_training, mask_training
    from bginv.library.results import evaluate, export
    from bginv.library.robustify import robustify
    from bginv.library.tables import load_table
    from bginv.nn.background_augmentation import BackgroundAugmentation

__version__ = "0.2.0"

_PLACES = {
    "BackgroundAugmentation": "bginv.nn.background_augmentation",
    "adversarial_training": "bginv.library.methods",
    "audit": "bginv.library.audit",
    "classifier_training": "bginv.library.methods",
    "evaluate": "bginv.library.results",
    "export": "bginv.library.results",
    "load_data": "bginv.data.catalog",
    "load_table": "bginv.library.tables",
    "mask_training": "bginv.library.methods",
    "robustify": "bginv.library.robustify",
}
__all__ = [
    "BackgroundAugmentation",
    "UserError",
    "adversarial_training",
    "audit",
    "classifier_training",
    "evaluate",
    "export",
    "layers",
    "load_data",
    "load_table",
    "mask_training",
    "robustify",
]


def __getattr__(name: str):
    # TensorFlow takes seconds to import, and `bginv --help` does without it
    if name not in (*_PLACES, "UserError", "layers"):
        raise AttributeError(f"module 'bginv' has no attribute {name!r}")
    if name == "UserError":
        return errors.UserError
    errors.check_backend()
    if name == "layers":
        return importlib.import_module("bginv.layers")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
