import shutil
import subprocess
import sys

import pytest


def test_the_script_knows_every_command(command):
    code, out, err = command(None, "completion", "bash")
    assert code == 0, err
    assert "evaluate-backgrounds" in out and "--total-variation" in out
    bash = shutil.which("bash")
    assert subprocess.run([bash, "-n"], input=out, text=True, check=False).returncode == 0


def test_without_its_package_it_says_so(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, _, err = command(None, "completion", "zsh")
    assert code == 2 and "completion needs shtab: pip install shtab" in err


def test_help_lists_options_under_headings(capsys):
    from bginv import cli

    with pytest.raises(SystemExit):
        cli.parse(["run", "--help"])
    text = capsys.readouterr().out
    places = [text.index(f"\n{title}:\n") for title in ("the run", "data", "training", "phase 3")]
    assert places == sorted(places)
    assert text.index("--total-variation") > text.index("\nphase 2:\n")
