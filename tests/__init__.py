"""Tests; they run on this machine as commands do."""

from bginv.host import prepare_host

prepare_host()
