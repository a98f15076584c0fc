"""Evergraph runs agents: start everything with `up`, or one process alone."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import NoReturn, TypeAlias
from uuid import UUID

from evergraph import console
from runtime import settings
from runtime.embedded.child import StartError
from runtime.settings import Settings, SettingsError

Options: TypeAlias = argparse.Namespace
Environ: TypeAlias = Mapping[str, str]
Command: TypeAlias = Callable[[Options, Environ], int]

FLAGS = {
    "data_dir": "EVERGRAPH_DATA_DIR",
    "port": "EVERGRAPH_PORT",
    "executors": "EVERGRAPH_EXECUTORS",
}

PROCESSES = {
    "api": ("api.server", "run the API: HTTP requests and live sockets"),
    "executor": ("workers.executor", "run an executor, which drives runs of graphs"),
    "projector": ("workers.projector", "run the projector, which keeps the lists up to date"),
    "relay": ("workers.relay", "run the relay, which passes new events on to NATS"),
    "sweeper": ("workers.sweeper", "run the sweeper, which wakes up runs that got stuck"),
}

SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 done, 1 failed, 2 misused."""
    options = _parser().parse_args(argv)
    try:
        code: int = options.command(options, _environ(options))
    except KeyboardInterrupt:
        return 1
    except SettingsError as error:
        console.complain(str(error))
        return 2
    except StartError as error:
        console.complain(str(error))
        return 1
    return code


class _Version(argparse.Action):
    """Look the version up when somebody asks for it: that takes as long as all else here."""

    def __call__(self, *_: object) -> NoReturn:
        from importlib.metadata import version  # noqa: PLC0415

        console.say(f"evergraph {version('evergraph')}")
        sys.exit(0)


def _parser(folders: object = None) -> argparse.ArgumentParser:
    """`folders` is what a shell's completion offers where a folder is wanted."""
    parser = argparse.ArgumentParser(prog="evergraph", description=__doc__)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(command: Command, name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        data_dir = one.add_argument("--data-dir", help="where data is kept (EVERGRAPH_DATA_DIR)")
        if folders is not None:
            vars(data_dir)["complete"] = folders
        one.set_defaults(command=command, process=name)
        return one

    whole = add(_up, "up", "start everything; PostgreSQL and NATS too unless settings name them")
    whole.add_argument("--executors", help="how many executors to start (EVERGRAPH_EXECUTORS)")
    whole.add_argument("--no-demo", action="store_true", help="do not run the sample agent")
    demo = add(_demo, "demo", "run the sample agent on an API that is running")
    doctor = add(_doctor, "doctor", "check everything, and say what to do where something is wrong")
    for one in (whole, demo, doctor):
        one.add_argument("--port", help="the port of the API (EVERGRAPH_PORT)")
    token = add(_token, "token", "print a bearer token")
    token.add_argument("--email", required=True, help="whose token it is")
    token.add_argument("--user-id", type=UUID, help="by default one made from the e-mail")
    token.add_argument("--name", help="the name in the token")
    token.add_argument("--admin", action="store_true", help="make it an admin's token")
    add(_migrate, "migrate", "bring the database's tables up to date")
    add(
        _restored,
        "restored",
        "make processes forget the old log; run it after putting back a backup",
    )
    for name, (_, text) in PROCESSES.items():
        add(_serve, name, text)
    text = "print what a shell needs to complete these commands"
    completion = commands.add_parser("completion", help=text, description=text)
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(command=_completion)
    return parser


def _environ(options: Options) -> Environ:
    """Our own environment, overridden by the flags."""
    given = {name: getattr(options, flag, None) for flag, name in FLAGS.items()}
    return settings.environment(**{name: text for name, text in given.items() if text is not None})


# Each command imports what it needs and no more: a worker never loads the web framework.


def _up(options: Options, environ: Environ) -> int:
    from evergraph.up import up  # noqa: PLC0415
    from runtime import process  # noqa: PLC0415

    async def live(config: Settings) -> None:
        await up(config, environ, with_demo=not options.no_demo)

    return process.run("up", live, environ, for_others=True)


def _serve(options: Options, environ: Environ) -> int:
    from evergraph import address  # noqa: PLC0415
    from runtime import process  # noqa: PLC0415
    from runtime.embedded import passage, privileges  # noqa: PLC0415

    module = import_module(PROCESSES[options.process][0])

    async def live(config: Settings) -> None:
        complete = address.complete(config)
        needs = (*passage.places(config.data_dir), config.data_dir / "nats")
        leave_root = partial(privileges.leave_root, needs)
        if options.process == "api":
            await module.serve(complete, leave_root)
        else:
            leave_root()
            await module.serve(complete)

    return process.run(options.process, live, environ, for_others=True)


def _demo(_: Options, environ: Environ) -> int:
    from evergraph import demo  # noqa: PLC0415
    from runtime import process  # noqa: PLC0415

    return process.run("demo", demo.play, environ)


def _doctor(_: Options, environ: Environ) -> int:
    from evergraph.doctor import examination  # noqa: PLC0415
    from runtime import logs  # noqa: PLC0415

    config = settings.load(environ)
    logs.setup("doctor", config.log_level)
    return 0 if asyncio.run(examination.tell(config)) else 1


def _completion(options: Options, _: Environ) -> int:
    import shtab  # noqa: PLC0415

    console.say(shtab.complete(_parser(shtab.DIRECTORY), options.shell))
    return 0


def _migrate(_: Options, environ: Environ) -> int:
    from evergraph import database  # noqa: PLC0415
    from runtime import process  # noqa: PLC0415

    async def live(config: Settings) -> None:
        for name in await database.migrate(config):
            console.say(name)

    return process.run("migrate", live, environ)


def _restored(_: Options, environ: Environ) -> int:
    from evergraph import database  # noqa: PLC0415
    from runtime import process  # noqa: PLC0415

    async def live(config: Settings) -> None:
        console.say(f"The log has another epoch now: {await database.begin_epoch(config)}")

    return process.run("restored", live, environ)


def _token(options: Options, environ: Environ) -> int:
    from evergraph import tokens  # noqa: PLC0415

    console.say(
        tokens.token_for(
            settings.load(environ),
            options.email,
            user_id=options.user_id,
            name=options.name,
            admin=options.admin,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
