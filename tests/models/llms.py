"""Models in process: anything with `generate` is one."""

from collections.abc import Callable

from synmem.errors import ModelError


class Recording:
    """Answers by a function of the prompt, writes down what it was asked, fails when told to.

    `fail_at`: the number of the call, from 1, that raises.
    """

    def __init__(
        self, answer: Callable[[str], str] = lambda prompt: "SUM", fail_at: int | None = None
    ) -> None:
        self.answer = answer
        self.fail_at = fail_at
        self.prompts: list[str] = []

    async def generate(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if len(self.prompts) == self.fail_at:
            raise ModelError("the model fails")
        return self.answer(prompt)

    @property
    def characters(self) -> int:
        return sum(map(len, self.prompts))


BROKEN_ENVIRONMENTS = [
    ("ALL_PROXY", "socks5h://127.0.0.1:1", "ALL_PROXY is a SOCKS proxy"),
    ("https_proxy", "magic://u:hunter2@h", "https_proxy is not the address of a proxy"),
    ("HTTP_PROXY", "http://u:hunter2@h:port", "HTTP_PROXY is not the address of a proxy"),
    ("SSL_CERT_FILE", "/nope", r"SSL_CERT_FILE \(/nope\) cannot be read: No such file"),
    ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE .* cannot be read: .*certificate"),
]
"""Variables that keep every client from its server: name, value, and what is to be said."""
