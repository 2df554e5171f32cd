"""The arguments and options that several commands have; what one has stands in its own file."""

from typing import Annotated

import typer

from synmem.cli import completing

StoreArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="STORE", help="The store, instead of -p.", autocompletion=completing.stores
    ),
]
ConversationsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONVERSATION", help="Their ids.", autocompletion=completing.conversations
    ),
]
MatchOption = Annotated[
    list[str] | None,
    typer.Option(
        "--match",
        metavar="GLOB",
        help="Those with ids like this: 'user-*'; may be repeated. "
        "What belongs to no conversation is then not named.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", metavar="PROFILE", help="The profile's name, to be sure.")
]
IdAsOption = Annotated[
    str | None,
    typer.Option(
        "--id-as",
        metavar="TEMPLATE",
        help="How conversations are called in the destination: '{host}/{layout}/{id}'; {profile}.",
    ),
]
