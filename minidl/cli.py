"""The command ``minidl``: runs the subcommand, and reports errors as one line and an exit code."""
from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__
from .commands.common import FAILED, INTERRUPTED, USAGE, CommandError
from .training.progress import say

COMMANDS = ("train", "predict", "show", "export", "profile", "reproduce", "sweep")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose error messages are one line."""

    def error(self, message: str) -> NoReturn:
        raise CommandError(message, USAGE)


def parser() -> Parser:
    """The parser of all subcommands; the chosen one sets ``run`` in the result."""
    top = Parser(prog="minidl", description="A small deep-learning framework for small networks on a CPU.")
    top.add_argument("--version", action="version", version=f"minidl {__version__}")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name in COMMANDS:
        command = importlib.import_module(f".commands.{name}", __package__)
        sub = subparsers.add_parser(name, help=command.HELP, description=command.__doc__)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 failed, 2 wrong use, 130 Ctrl-C."""
    try:
        return _run(arguments)
    finally:
        _leave_a_broken_stream(sys.stderr)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        args = parser().parse_args(arguments)
        return args.run(args)
    except CommandError as error:
        return _tell(str(error), error.code)
    except OSError as error:
        return _tell(str(error), FAILED)
    except (MemoryError, OverflowError) as error:  # OverflowError: a size that no array can have
        return _tell(f"not enough memory{f': {error}' if str(error) else ''}", FAILED)
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)


def _tell(message: str, code: int) -> int:
    say(f"minidl: {' '.join(message.split())}")
    return code


def _leave_a_broken_stream(stream) -> None:
    """Drop a standard error that cannot be written to: flushed at exit, it would change the exit code."""
    try:
        if stream is not None:
            stream.flush()
    except Exception:  # closed, full, its reader gone
        sys.stderr = None  # type: ignore[assignment]
