"""Plain values without pydantic, which Typer 0.29 loads to convert each: it would make up a
third of the time of a small command."""

from typing import Any, Final

_DIGITS: Final = 18
_MOST: Final = 2**63 - 1  # what stores count with
_SHOWN: Final = 40

PRIVATE: Final = (
    "_runtime_param", "get_runtime_param", "type_descriptor.annotation",
    "type_descriptor.is_choice", "type_descriptor.choices",
    "type_descriptor.parameter_info.min", "type_descriptor.parameter_info.max",
)  # fmt: skip
"""What this module asks a parameter of Typer 0.29 that is not Typer's to promise."""


class PlainValues:
    """A command or group that lets text, whole numbers and what is absent pass by themselves.

    All else is Typer's to convert and to refuse. Typer before 0.29 needs no sparing. What of it
    is private to Typer is in `PRIVATE`, to which `pyproject.toml` is pinned.
    """

    def get_params(self, ctx: Any) -> Any:
        """The parameters, `--help` among them."""
        parameters = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "_runtime_param", "absent") is None:
                parameter._runtime_param = _PlainValue(parameter)
        return parameters


class _PlainValue:
    """Stands for what Typer would build for a parameter, until a value needs that."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter
        self._descriptor = parameter.type_descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as its annotation wants it."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        wanted = self._descriptor.annotation
        if several:
            if wanted == list[str] and type(value) in (list, tuple):
                return value
        elif wanted is str and type(value) is str:
            return value
        elif wanted is int and (number := _whole(value)) is not None and self._is_within(number):
            return number
        import typer

        try:
            coerced = self._typers_own().coerce(value, param, ctx)
        except typer.BadParameter as problem:
            said = self._refusal(value) or problem.message  # the words of pydantic, else
            raise typer.BadParameter(said, ctx=ctx, param=param) from None
        if wanted is int and not -_MOST <= coerced <= _MOST:
            raise typer.BadParameter(f"{_short(value)} is too large", ctx=ctx, param=param)
        return coerced

    def _is_within(self, number: int) -> bool:
        """Whether a range, where there is one, has it."""
        least, most = self._descriptor.parameter_info.min, self._descriptor.parameter_info.max
        return (least is None or number >= least) and (most is None or number <= most)

    def _refusal(self, value: Any) -> str | None:
        """What a value is not, in words for a person; None where it is no number or choice."""
        if self._descriptor.annotation is int:
            least, most = self._descriptor.parameter_info.min, self._descriptor.parameter_info.max
            of = "" if least is None or most is None else f" from {least:,} to {most:,}"
            return f"{_short(value)} is not a whole number{of}"
        if self._descriptor.is_choice:
            return f"{_short(value)} is not one of {', '.join(self._descriptor.choices)}"
        return None

    def _typers_own(self) -> Any:
        self._parameter._runtime_param = None
        return self._parameter.get_runtime_param()


def _whole(value: Any) -> int | None:
    """A number that any of us would read as the same; None for others, which Typer reads."""
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    return None


def _short(value: Any) -> str:
    shown = str(value)
    return repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}...")
