"""What a head item shows."""

from hypothesis import given
from hypothesis import strategies as st

from synmem.backends.dynamodb.head import LOWEST, Head

SMALL = st.integers(-20, 20)


@given(SMALL | st.just(LOWEST), SMALL, st.integers(0, 10), st.booleans(), SMALL, SMALL)
def test_the_spans_of_a_head_are_what_it_shows(
    begins: int, start: int, length: int, skips: bool, low: int, high: int
) -> None:
    skip = (max(start, begins), max(start, begins) + length) if skips else None
    head = Head(begins=begins, skip=skip)
    inside = {n for first, last in head.spans(low, high) for n in range(first, last + 1)}
    assert inside == {n for n in range(low, high + 1) if head.shows(n)}
    hidden = head.hidden()
    for n in range(-25, 25):
        assert head.shows(n) or any(first <= n <= last for first, last in hidden)
