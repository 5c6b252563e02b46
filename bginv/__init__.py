"""Image classifiers that ignore the background, by adversarial learning."""

__version__ = "0.1.0"
__all__ = ["load_data"]


def __getattr__(name: str):
    # TensorFlow takes seconds to import, and `bginv --help` does without it
    if name == "load_data":
        from bginv.data.catalog import load_data

        return load_data
    raise AttributeError(f"module 'bginv' has no attribute {name!r}")
