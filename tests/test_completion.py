import shutil
import subprocess
import sys

import pytest

from bginv.subcommands import COMMANDS
from tests.conftest import ROOT


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


def test_help_lists_commands_by_what_people_want_to_do(command):
    code, out, _ = command(None, "--help")
    assert code == 0
    titles = dict.fromkeys(own.group for own in COMMANDS.values())
    places = [out.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places) and titles.keys() >= {"diagnose", "make robust", "ship"}
    assert out.index("\n  audit ") < out.index("\nmake robust:") < out.index("\n  run ")
    for name in COMMANDS:
        assert f"\n  {name} " in out


def test_help_of_all_commands_reads_the_settings_of_none():
    program = (
        "import contextlib, sys\n"
        "from bginv import cli\n"
        "with contextlib.suppress(SystemExit):\n"
        "    cli.parse(['--help'])\n"
        "heavy = {'numpy', 'cv2', 'tensorflow', 'keras', 'bginv.methods.photographs.settings'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stderr == "[]\n"


def test_help_lists_options_under_headings(capsys):
    from bginv import cli

    with pytest.raises(SystemExit):
        cli.parse(["run", "--help"])
    text = capsys.readouterr().out
    places = [text.index(f"\n{title}:\n") for title in ("the run", "data", "training", "phase 3")]
    assert places == sorted(places)
    assert text.index("--total-variation") > text.index("\nphase 2:\n")
