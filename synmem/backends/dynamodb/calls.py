"""Calls to DynamoDB, off the event loop; their patience, and botocore's exceptions as ours.

botocore's own retries are off: a call is tried again here, where every write is conditional and
carries its token, so that one that was done after all does no harm.
"""

import asyncio
import contextlib
import functools
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import stamina
from botocore import exceptions as boto  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from synmem.backends.paging import closed
from synmem.backends.patience import CONNECT_S, again
from synmem.errors import AccessDenied, StoreError, StoreNotFound, StoreUnavailable
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.masking import mask, mask_text, secrets_of

REGION: Final = "us-east-1"
ANSWER_S: Final = 15.0
"""So long for one answer: less than elsewhere, since no request is large, and none is long."""
CALLS_AT_ONCE: Final = 16

LOST: Final = (
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    boto.HTTPClientError,
    boto.ResponseStreamingError,
)
"""Connections that broke or did not come about."""

_BUSY: Final = {
    "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
    "ThrottledException", "InternalServerError", "ServiceUnavailable",
    "TransactionInProgressException",
    "ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict",
    "TransactionConflictException", "LimitExceededException",
}  # fmt: skip
_DENIED: Final = {
    "UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException",
    "AccessDenied", "ExpiredTokenException", "ExpiredToken", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidClientTokenId",
    "SignatureDoesNotMatch", "OptInRequired", "AuthFailure", "NotAuthorized",
    "IncompleteSignature", "KMSAccessDeniedException",
}  # fmt: skip
_BUSY_S: Final = 30.0

_READS: Final = {
    "get_item", "batch_get_item", "query", "scan", "describe_table", "describe_time_to_live",
}  # fmt: skip


class Client:
    """A botocore client and the threads in which its calls run."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.table: str = settings["table_name"]
        self._settings = dict(settings)
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "synmem-dynamodb")
        self._client: Any = None
        self.region = ""

    @property
    def name(self) -> str:
        """How the store is called in output."""
        url = f"dynamodb://{self.region}/{self.table}"
        endpoint = self._settings.get("endpoint_url")
        return f"{url} at {mask(endpoint)}" if endpoint else url

    async def connect(self) -> None:
        """Make the client; the credentials are sought where AWS's own tools do."""
        with self.translating():
            await self._in_thread(self._connect)

    def _connect(self) -> None:
        self.region = self._settings.get("region") or ""
        session = Session(profile=self._settings.get("aws_profile"))
        self.region = self.region or session.get_config_variable("region") or REGION
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            retries={"total_max_attempts": 1},
            max_pool_connections=CALLS_AT_ONCE,
            parameter_validation=False,
        )
        self._client = session.create_client(
            "dynamodb",
            region_name=self.region,
            endpoint_url=self._settings.get("endpoint_url"),
            config=config,
        )
        self._client.meta.events.register("before-parse.dynamodb", _see_whole)

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """What the server answers; tried again while it is busy or the connection breaks. Whoever
        is cancelled in a write is told when that was answered."""
        asking = self._call(operation, **arguments)
        if operation in _READS:
            return await asking
        return await to_its_end(asking, within_s=CANCELLED_S)

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        if self._client is None:
            raise closed(self.name)
        work = functools.partial(getattr(self._client, operation), **arguments)

        async def step() -> dict[str, Any]:
            answer: dict[str, Any] = await self._in_thread(work)
            if operation in _TOLD and _TOLD[operation] not in answer:
                raise boto.ConnectionClosedError(endpoint_url="the server")
            return answer

        with self.translating():
            async for attempt in stamina.retry_context(
                on=_is_busy,
                attempts=None,
                timeout=_BUSY_S,
                wait_initial=0.05,
                wait_max=2.0,
                wait_jitter=0.1,
            ):
                with attempt:
                    answer: dict[str, Any] = await again(step, LOST)
                    return answer
        raise AssertionError("stamina ends by returning or raising")

    async def create(self, **table: Any) -> None:
        """Make a table; one that somebody else makes at the same time is as good."""
        try:
            await self.call("create_table", **table)
        except StoreError as error:
            if _code(error.__cause__) != "ResourceInUseException":
                raise

    async def transact(self, steps: Sequence[dict[str, Any]]) -> bool:
        """Do all these steps, or none; False where a condition of theirs does not hold.

        A first try that was done though its answer was lost counts once for ten minutes, since
        it comes with the same token; after that the conditions fail.
        """
        deadline = time.monotonic() + _BUSY_S
        named = [{kind: {"TableName": self.table, **step[kind]} for kind in step} for step in steps]
        while True:
            token = uuid.uuid4().hex
            try:
                await self.call(
                    "transact_write_items", TransactItems=named, ClientRequestToken=token
                )
            except StoreError as error:
                codes = _cancelled(error.__cause__)
                if "ConditionalCheckFailed" in codes:
                    return False
                if not codes & _BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise StoreUnavailable(str(error), hint="try again later") from error
                await pause()
            else:
                return True

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """End the threads and connections; twice is once."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._threads.shutdown(wait=False)

    @contextlib.contextmanager
    def translating(self) -> Iterator[None]:
        """botocore's exceptions as ours."""
        try:
            yield
        except boto.ClientError as error:
            raise self._answered(error) from error
        except LOST as error:
            raise StoreUnavailable(
                f"{self.name}: {self._text(error)}", hint="is the server there? try again later"
            ) from error
        except _NO_CREDENTIALS as error:
            raise AccessDenied(
                f"{self.name}: {self._text(error)}",
                hint="credentials come from the environment, ~/.aws or aws_profile",
            ) from error
        except (boto.BotoCoreError, ValueError) as error:
            raise StoreError(f"{self.name}: {self._text(error)}") from error

    def _answered(self, error: boto.ClientError) -> StoreError:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = f"{self.name}: {self._text(error.response.get('Error', {}).get('Message') or error)}"
        if code in _DENIED or status in (401, 403):
            return AccessDenied(text, hint="check the credentials, and the rights they have")
        if code == "ResourceNotFoundException":
            return self.not_there()
        if code in _BUSY or status >= 500:
            return StoreUnavailable(text, hint="try again later")
        return StoreError(text)

    def not_there(self) -> StoreNotFound:
        """There is no such table."""
        hint = "create = true in the profile (`profile add --create`) lets the first write make it"
        if self._settings.get("create"):
            hint = "`synmem add` makes one"
        return StoreNotFound(f"{self.name}: no such table", hint=hint)

    def _text(self, error: object) -> str:
        return mask_text(str(error), secrets_of(self._settings))


_NO_CREDENTIALS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.NoAuthTokenError,
)


async def pause(seconds: float = 0.05) -> None:
    """A moment, of a length that two who wait for each other do not share."""
    await asyncio.sleep(seconds * (0.5 + random.random()))


def _see_whole(response_dict: Mapping[str, Any], **_: Any) -> None:
    """ConnectionClosedError for an answer that was cut.

    Where that was within its headers, http.client takes those that came for all, and what follows
    for the body, whatever its length; of what is no JSON botocore makes an answer that says
    "nothing found". DynamoDB's answers are never empty: at least "{}".
    """
    if response_dict["status_code"] in (200, 400):
        try:
            _skim(response_dict["body"])
        except msgspec.DecodeError:
            raise boto.ConnectionClosedError(endpoint_url="the server") from None


_skim: Final = msgspec.json.Decoder(msgspec.Raw).decode
"""Looks whether it is JSON, and makes nothing of it."""

_TOLD: Final = {
    "query": "Count", "scan": "Count", "batch_get_item": "Responses", "describe_table": "Table",
}  # fmt: skip
"""What an answer always says, whatever was found."""


def _code(error: BaseException | None) -> str | None:
    """What the server calls an error; None where it is not the server's."""
    return error.response["Error"].get("Code") if isinstance(error, boto.ClientError) else None


def _is_busy(error: Exception) -> bool:
    if not isinstance(error, boto.ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _code(error) in _BUSY or status >= 500


def _cancelled(error: BaseException | None) -> set[str]:
    """The codes of what stopped a transaction, if that is what the error says."""
    if not isinstance(error, boto.ClientError):
        return set()
    reasons: Any = error.response.get("CancellationReasons", [])
    return {reason.get("Code") for reason in reasons} - {"None", None}
