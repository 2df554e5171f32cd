"""What the environment asks of every connection to a model: proxies and certificates.

The clients read it when they are made, and say of what is wrong there hardly more than that.
"""

import os
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from synmem.errors import ModelError

_PROXIES: Final = ("all_proxy", "https_proxy", "http_proxy")
_ADDRESS: Final = re.compile(
    r"((https?|socks5h?)://)?([^@\s/]*@)?(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+)(:\d{1,5})?/?"
)


def http_client(sdk: ModuleType, timeout: Any) -> Any:
    """The connections of a client of `sdk`, as that would make them itself; it closes them.

    ModelError where the environment names a proxy or certificates that cannot be used. A client
    that fails while it makes its own leaves half of one behind, which complains when it is freed.
    """
    try:
        return sdk.DefaultAsyncHttpxClient(timeout=timeout)
    except ImportError as error:
        raise ModelError(
            f"{_proxies(_is_socks)} is a SOCKS proxy, for which a package is not installed",
            hint="pip install socksio, or unset it",
        ) from error
    except OSError as error:
        raise ModelError(
            f"the certificates of {_certificates()} cannot be read: {error.strerror or error}",
            hint="it must be there and hold certificates, as PEM; or unset it",
        ) from error
    except Exception as error:  # ValueError, or InvalidURL, which is none: both of an address
        raise ModelError(
            f"{_proxies(_is_wrong)} is not the address of a proxy",
            hint="http://host:port; or unset it",
        ) from error


def _certificates() -> str:
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # the first that is set counts
    given = (f"{name} ({os.environ[name]})" for name in names if os.environ.get(name))
    return next(given, "this computer")


def _proxies(at_fault: Callable[[str], bool]) -> str:
    """The variables whose proxy is that, or else all: their values may hold a password."""
    for names, wanted in ((_PROXIES, at_fault), ((*_PROXIES, "no_proxy"), bool)):
        given = [name for name in sorted(os.environ) if name.lower() in names]
        if found := [name for name in given if wanted(os.environ[name])]:
            return " or ".join(found)
    return "what the settings of this computer name"


def _is_socks(proxy: str) -> bool:
    return proxy.startswith("socks")


def _is_wrong(proxy: str) -> bool:
    return bool(proxy) and not _ADDRESS.fullmatch(proxy)
