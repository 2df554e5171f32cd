"""The options that every command has, and those that say how a store is read."""

import inspect
from pathlib import Path
from typing import Annotated, Final

import typer

from synmem.cli import completing

FirstStoreArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="STORE", show_default=False, autocompletion=completing.stores_or_conversations,
        help="The store, instead of -p.",
    ),
]  # fmt: skip
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile", "-p", metavar="NAME|URL", envvar="SYNMEM_PROFILE", show_envvar=True,
        help="The store: a profile or known place, a URL or a file.",
        autocompletion=completing.profiles,
    ),
]  # fmt: skip
ProfilesOption = Annotated[
    list[str] | None,
    typer.Option(  # not `envvar`, of which Typer would make several at each space
        "--profile", "-p", metavar="NAME|URL", autocompletion=completing.profiles,
        help="The store: a profile or known place, a URL or a file; may be repeated.  "
        "[env var: SYNMEM_PROFILE]",
    ),
]  # fmt: skip
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", envvar="SYNMEM_CONFIG", show_envvar=True,
        help="The configuration file.",
    ),
]  # fmt: skip
FrontProfilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--profile", "-p", metavar="NAME|URL", autocompletion=completing.profiles,
        help="The store: a profile or known place, a URL or a file.",
    ),
]  # fmt: skip
"""In front of the command, which may be one that takes several."""
FrontConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The configuration file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON; errors too.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No notes, no progress.")]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Whose tables, keys or documents are meant.",
        autocompletion=completing.layouts,
    ),
]
BranchesOption = Annotated[
    bool, typer.Option("--branches", help="Other branches too, each as a conversation.")
]
EverywhereOption = Annotated[
    bool,
    typer.Option("--everywhere", help="All that is on this machine: see discover, and profiles."),
]
ServersOption = Annotated[
    bool, typer.Option("--servers", help="With --everywhere: profiles of servers too.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]
ColorOption = Annotated[bool, typer.Option("--no-color", help="No colours, as NO_COLOR=1.")]
LockOption = Annotated[
    str | None,
    typer.Option("--lock", metavar="NAME", help="Not while another has this lock: exit 4."),
]


def _common(
    profile: ProfileOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    no_color: ColorOption = False,
    lock: LockOption = None,
) -> None: ...


def _of_store(
    layout: LayoutOption = None,
    branches: BranchesOption = False,
    everywhere: EverywhereOption = False,
    servers: ServersOption = False,
) -> None: ...


def _several(profile: ProfilesOption = None) -> None: ...


COMMON: Final = inspect.signature(_common).parameters
"""Of every command."""
OF_STORE: Final = inspect.signature(_of_store).parameters
"""How a store is read: each of those commands that name it."""
SEVERAL: Final = inspect.signature(_several).parameters
"""In the place of those of the same name, where a command takes several stores."""


def _store_first(store: FirstStoreArgument = None) -> None: ...


STORE: Final = inspect.signature(_store_first).parameters["store"]
"""Where a store may stand in front of the command's own argument."""
