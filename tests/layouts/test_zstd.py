"""What is packed with zstd: unpacked within bounds, or a reason why not."""

import sys
from collections.abc import Callable

import pytest

from synmem.layouts import zstd
from synmem.layouts.zstd import unpacked
from tests.layouts.packed import packed


@pytest.mark.parametrize("text", [b"", b"a", b"x" * 10_000_000])
def test_what_is_packed_comes_back(text: bytes) -> None:
    assert unpacked(packed(text)) == text


def test_several_frames_are_one_behind_the_other() -> None:
    assert unpacked(packed(b"one ") + packed(b"two")) == b"one two"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:8], "cut short"),
        (lambda data: b"x" + data, "no zstd frame"),
        (lambda data: data + b"x", "damaged"),
        (lambda data: b"{}" * 10, "damaged"),
    ],
)
def test_what_is_damaged_says_so(spoil: Callable[[bytes], bytes], why: str) -> None:
    data = packed(bytes(range(256)) * 100)
    with pytest.raises(ValueError, match=why):
        unpacked(spoil(data))


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "_UNSUSPECTED", 1000)
    bomb = packed(bytes(20_000_000))
    assert len(bomb) < 5000
    with pytest.raises(ValueError, match="larger than a text that packs to this can be"):
        unpacked(bomb)
    monkeypatch.setattr(zstd, "LARGEST", 10)
    with pytest.raises(ValueError, match="larger"):
        unpacked(packed(b"a" * 11))
    with pytest.raises(ValueError, match="larger"):
        unpacked(packed(b"a" * 6) + packed(b"a" * 6))
    assert unpacked(packed(b"a" * 10)) == b"a" * 10


def test_without_the_extra_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("backports", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"pip install 'synmem-cli\[zstd\]'"):
        unpacked(b"")
