"""synmem: the command line, and the library, for conversation stores.

The names of the library are loaded when they are first used.
"""

# True for who checks types; `typing` itself is more than `--version` needs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from synmem.errors import SynmemError as SynmemError
    from synmem.messages import Conversation as Conversation
    from synmem.messages import Message as Message
    from synmem.messages import Unreadable as Unreadable
    from synmem.store import Part as Part
    from synmem.store import Store as Store
    from synmem.tool import check as check
    from synmem.tool import migrate as migrate
    from synmem.tool import open_store as open_store
    from synmem.tool import search as search

__version__ = "0.1.0"

_MODULES = {
    "open_store": "tool",
    "migrate": "tool",
    "check": "tool",
    "search": "tool",
    "Message": "messages",
    "Conversation": "messages",
    "Unreadable": "messages",
    "Part": "store",
    "Store": "store",
    "SynmemError": "errors",
}

__all__ = ["__version__", *_MODULES]


if not TYPE_CHECKING:  # which would take every name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
