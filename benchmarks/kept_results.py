"""The place of `KeptResults` before `measuring.py`, which `background_study.py` imports."""

from measuring import KeptResults as KeptResults
