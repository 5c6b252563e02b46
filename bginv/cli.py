"""The `bginv` command and the paper's scripts: parse, check, run, and say what went wrong."""

import argparse
import contextlib
import difflib
import importlib
import os
import pkgutil
import signal
import sys
import types
from collections.abc import Callable, Collection, Iterator
from typing import Any

from absl import app, logging
from absl.flags import argparse_flags

import bginv
from bginv.engine.run_folder import default_run_dir, experiment_dir, kept_settings
from bginv.engine.saved_settings import resume
from bginv.engine.settings import (
    add_flags,
    add_new_flags,
    positional_names,
    refuse_unknown,
    resolve,
    setting_names,
)
from bginv.errors import UserError, check_backend
from bginv.host import prepare_host
from bginv.methods.background_invariance.settings import (
    PHASES,
    PHOTOGRAPHS,
    add_run_flags,
    phase_setting_names,
    resolve_phases,
)
from bginv.subcommands import COMMANDS, OTHER_RUNS
from bginv.terminal import be_plain, end_output, quiet_start

BAD_ARGUMENT, FAILURE, CLOSED = 2, 1, 128 + 13  # the last as programs end that SIGPIPE ends
HINT = "`bginv COMMAND --help` lists its options; `bginv --version` tells the version."
OUT_OF_MEMORY = "not enough memory: a smaller --batchsize or --image-size needs less"


def main(script: str | None = None) -> None:
    """Run the command line.

    Args:
        script: the subcommand that a script stands for; None reads it from the command line.
    """
    app.run(run, flags_parser=lambda argv: parse(argv[1:], script))


def parse(arguments: list[str], script: str | None = None) -> argparse.Namespace:
    """Parse a command line; exits with 2 and one line where it is wrong.

    Args:
        arguments: without the program's name.
        script: see `main`.

    Returns:
        What was given, and `command`.
    """
    if script is not None:
        own = parser = _Parser(description=COMMANDS[script].help)
        _add(parser, script)
    else:
        named = [argument for argument in arguments if not argument.startswith("-")][:1]
        parser = _whole_parser(named)
        if named and named[0] not in COMMANDS:
            parser.error(f"unknown command {named[0]!r}{_nearest(named[0], COMMANDS)}")
        own = parser.of_commands[named[0]] if named else parser
    namespace, unknown = parser.parse_known_args(list(map(_with_hyphens, arguments)))
    if unknown:
        name = unknown[0].split("=")[0]
        hint = _nearest(name, own._option_string_actions) if name.startswith("-") else ""
        own.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return namespace


def _whole_parser(filled: Collection[str] = tuple(COMMANDS)) -> "_WholeParser":
    """The parser of `bginv` with every subcommand.

    Args:
        filled: subcommands that get their options, which takes a while for all of them.
    """
    parser = _WholeParser(prog="bginv", description="Image classifiers that ignore the background.")
    parser.add_argument("--version", action="version", version=f"bginv {bginv.__version__}")
    subparsers = parser.add_subparsers(metavar="command", required=True, parser_class=_Parser)
    for name, command in COMMANDS.items():
        own = subparsers.add_parser(name, help=command.help, description=command.help)
        if name in filled:
            _add(own, name)
    parser.of_commands = subparsers.choices
    return parser


def _nearest(word: str, known: Collection[str]) -> str:
    """What may have been meant by an unknown word, to follow it in a message."""
    names = {own.strip("-"): own for own in known}
    near = difflib.get_close_matches(word.strip("-"), names, n=1, cutoff=0.7)
    return f"; did you mean {names[near[0]]}?" if near else ""


def _with_hyphens(argument: str) -> str:
    """An option with hyphens for underscores, which some papers' code has in their place."""
    if not argument.startswith("--"):
        return argument
    name, *value = argument.split("=", 1)
    return "=".join([name.replace("_", "-"), *value])


def run(namespace: argparse.Namespace) -> int:
    """Run a parsed command.

    Args:
        namespace: of `parse`.

    Returns:
        The exit code: 0, 2 for a bad argument (nothing was written), 1 for a failure later on, 3
        where a condition of an audit holds, 130 for SIGINT, 141 where nobody reads what is printed,
        143 for SIGTERM.
    """
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(None)
    handler = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _run(namespace)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        end_output()
        return CLOSED
    except OSError as error:  # such as a full disk under standard output
        return _fail(error, FAILURE)
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "signal_number", signal.SIGINT)
        error = interrupt if interrupt.args else KeyboardInterrupt("interrupted")
        return _fail(error, 128 + number)
    finally:
        signal.signal(signal.SIGTERM, handler)


def _print_completion(shell: str) -> None:
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise UserError("completion needs shtab: pip install shtab") from error
    print(shtab.complete(_whole_parser(), shell))


def _run(namespace: argparse.Namespace) -> int:
    logging.set_verbosity(logging.WARNING)  # libraries tell what they load
    command = namespace.command
    try:
        if namespace.command == "completion":
            _print_completion(namespace.shell)
            return 0
        if namespace.plain:
            be_plain()
        check_backend()
        job = _prepare(vars(namespace))
    except (UserError, OSError) as error:
        return _fail(error, BAD_ARGUMENT)
    except _tensorflow_error() as error:  # while workers exchange first weights
        return _fail(error, FAILURE)
    logging.set_verbosity(logging.INFO)
    if COMMANDS[command].alone:
        return job() or 0
    import tensorflow as tf  # imported already, by what the command needs

    gpus = tf.config.list_physical_devices("GPU")
    logging.info("running on %s", f"{len(gpus)} GPU" if gpus else "CPU")
    try:
        found = job()
    except (UserError, OSError, FloatingPointError, MemoryError) as error:
        return _fail(error, FAILURE)
    except tf.errors.OpError as error:
        if not _is_of_the_machine(error):
            raise
        return _fail(error, FAILURE)
    return found or 0


def _is_of_the_machine(error: Exception) -> bool:
    """Whether an error of TensorFlow is about files, memory or other machines, not our code."""
    from tensorflow import errors

    from bginv.data.files import input_error

    kinds = (
        errors.ResourceExhaustedError,
        errors.NotFoundError,
        errors.PermissionDeniedError,
        errors.UnavailableError,
        errors.DeadlineExceededError,
        errors.AbortedError,
        errors.CancelledError,
        errors.DataLossError,
    )
    return isinstance(error, kinds) or input_error(error) is not None


class _Parser(argparse_flags.ArgumentParser):
    """One line where the command line is wrong."""

    def error(self, message: str):
        """Exit with one line, where argparse would print its usage too."""
        self.exit(BAD_ARGUMENT, f"{self.prog}: error: {message} (--help lists everything)\n")


class _WholeParser(_Parser):
    """The parser of `bginv`, whose help has the subcommands by what people want to do."""

    of_commands: dict[str, "_Parser"]

    def format_help(self) -> str:
        """The whole help."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for group in dict.fromkeys(command.group for command in COMMANDS.values()):
            formatter.start_section(group)
            formatter.add_arguments(
                argparse.Action([], name, help=command.help)
                for name, command in COMMANDS.items()
                if command.group == group
            )
            formatter.end_section()
        formatter.add_text(HINT)
        return formatter.format_help()


def _add(parser: argparse.ArgumentParser, name: str) -> None:
    command = COMMANDS[name]
    parser.add_argument(
        "--plain", action="store_true", help="tell progress in lines, for logs, and draw no bars"
    )
    if name == "run":
        add_run_flags(parser, command.recipe)
        add_new_flags(parser, _of_photographs().PhotographSettings, command.recipe, PHOTOGRAPHS)
        for settings in dict.fromkeys(own.settings for own in _rivals().RIVALS.values()):
            add_new_flags(parser, settings, command.recipe)
        parser._option_string_actions["--output"].help = argparse.SUPPRESS  # see `_prepare`
    else:
        add_flags(parser, command.settings, command.recipe)
    names = " ".join(positional_names(command.settings))
    parser.usage = f"{parser.prog} [options] {names}"
    parser.set_defaults(command=name)


def _of_photographs() -> types.ModuleType:
    """The settings of runs on photographs, which no other command needs."""
    return importlib.import_module("bginv.methods.photographs.settings")


def _rivals() -> types.ModuleType:
    """The settings of rivals, likewise."""
    return importlib.import_module("bginv.methods.rivals.settings")


def _prepare(given: dict) -> Callable[[], int | None]:
    name = given.pop("command")
    del given["plain"]
    settings = _resolve(name, given)
    prepare_host()
    if COMMANDS[name].alone:
        with quiet_start(), _interruptible():
            return pkgutil.resolve_name(COMMANDS[name].maker_path)(*settings.values())
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if _distribute(settings) == "multiworker":
        logging.warning("waiting for the workers that TF_CONFIG names")
    with quiet_start(), _interruptible():
        # after the arguments are checked, because it takes seconds
        import tensorflow as tf

        from bginv.engine.distribution import make_strategy

        tf.get_logger().setLevel("WARNING")
        strategy = make_strategy(_distribute(settings))
    kind = next(iter(settings))
    maker = OTHER_RUNS.get(kind, COMMANDS[name].maker_path)
    made = pkgutil.resolve_name(maker)(*settings.values(), strategy)
    return getattr(made, "run", made)


def _resolve(name: str, given: dict) -> dict[str, Any]:
    """The settings of a command and, for `run`, of its phases, by name."""
    command = COMMANDS[name]
    of_phase = {settings: phase for phase, settings in PHASES.items()}
    kinds = {of_phase.get(command.settings, name): command.settings}
    if name == "run" and given.get("output"):
        raise UserError(f"--output {given['output']} is not for bginv run: name a --run-dir")
    other = _other_run(given) if name == "run" else {}
    if name == "run":
        kinds = other or {**kinds, **PHASES}
    if given.get("resume"):
        if given.get("overwrite"):
            raise UserError("--resume goes on and --overwrite begins again; give one of them")
        # the command that began the run may have had the opposite
        given = {**given, "overwrite": False}
        settings = resume(kinds, kept_settings(_run_dir(name, given), given.get("output")), given)
        if _distribute(settings) == "multiworker":
            raise UserError("--resume is for one machine; give every worker the same command again")
        return settings
    if other:
        kind, own = next(iter(other.items()))
        photographs = f"--recipe {PHOTOGRAPHS}", "--recipe tuned"
        rival = f"--method {given.get('method')}", "another --method"
        refuse_unknown(given, setting_names(own), *(rival if "method" in given else photographs))
        return {kind: resolve(own, given, own.recipe)}
    if name != "run":
        return {name: resolve(command.settings, given, command.recipe)}
    known = setting_names(command.settings) | phase_setting_names()
    if not _of_photographs().lacks_pictures(given["dataset"]):  # which is told when it is read
        refuse_unknown(given, known, "the three phases", f"--recipe {PHOTOGRAPHS} or a --method")
    own = resolve(command.settings, given, command.recipe)
    return {name: own, **resolve_phases(given, command.recipe)}


def _other_run(given: dict) -> dict[str, type]:
    """The settings of a `bginv run` that is none of the three phases, by a key of `OTHER_RUNS`."""
    kept = kept_settings(_run_dir("run", given), None) if given.get("resume") else {}
    method = kept.get(_rivals().RIVAL, {}).get("method") or given.get("method")
    if method:
        return {_rivals().RIVAL: _rivals().rival_of(method).settings}
    return (
        {PHOTOGRAPHS: _of_photographs().PhotographSettings}
        if _is_of_photographs(given, kept)
        else {}
    )


def _is_of_photographs(given: dict, kept: dict) -> bool:
    """Whether `bginv run` is one on photographs: it was, is asked to be, or fits the data."""
    if kept:
        return PHOTOGRAPHS in kept
    if given.get("recipe"):
        return given["recipe"] == PHOTOGRAPHS
    fits, why = _of_photographs().photographs_fit(given)
    if why:
        logging.warning("%s", why)
    return fits


def _run_dir(name: str, given: dict) -> str | None:
    """The folder of the run that a command begins, where it has one."""
    if given.get("run_dir"):
        return given["run_dir"]
    if name == "run":
        return default_run_dir(given["dataset"])
    experiment = given.get("experiment_name")
    return experiment_dir(experiment) if experiment else None


def _distribute(settings: dict[str, Any]) -> str:
    return getattr(next(iter(settings.values())), "distribute", "none")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals end the process at once, as Python's handlers cannot run in a long C call."""
    handlers = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _tensorflow_error() -> type[Exception] | tuple[()]:
    """TensorFlow's base class of errors, where TensorFlow is imported."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow.errors.OpError if tensorflow else ()


def _terminate(number: int, frame) -> None:
    interrupt = KeyboardInterrupt("terminated")
    interrupt.signal_number = number
    raise interrupt


def _fail(error: BaseException, code: int) -> int:
    if isinstance(error, BrokenPipeError):
        raise error
    text = str(error).strip()
    if isinstance(error, MemoryError):
        text = OUT_OF_MEMORY
    if hasattr(error, "message"):  # TensorFlow's errors go on with the graph
        from bginv.data.files import input_error

        is_full = type(error).__name__ == "ResourceExhaustedError" and "OOM" in error.message
        text = OUT_OF_MEMORY if is_full else input_error(error) or error.message.strip()
    message = text.splitlines()[0] if text else type(error).__name__
    program = os.path.basename(sys.argv[0]).replace("__main__.py", "bginv")
    print(f"{program}: error: {message}", file=sys.stderr)
    return code
