"""Plain values without pydantic, which Typer 0.29 loads to convert each: it would make up a
third of the time of a small command."""

from typing import Any


class PlainValues:
    """A command or group that lets text, whole numbers and what is absent pass by themselves.

    All else is Typer's to convert and to refuse. Typer before 0.29 needs no sparing.
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
        elif wanted is int and not self._descriptor.is_ranged:
            if type(value) is int:
                return value
            if type(value) is str and value.isascii() and value.isdigit():
                return int(value)
        return self._typers_own().coerce(value, param, ctx)

    def _typers_own(self) -> Any:
        self._parameter._runtime_param = None
        return self._parameter.get_runtime_param()
