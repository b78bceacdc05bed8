"""The frames, whoever wrote them: what was encoded comes back, and garbage stays small."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faaskit.sandbox import wire
from faaskit.sandbox.wire import FRAME_LIMIT, HEADER_SIZE, Assembler, Decoder, WireError

KINDS = range(wire.REQUEST, wire.SETUP_FAILED + 1)
EVERYTHING = dict.fromkeys(KINDS, 4 * FRAME_LIMIT)

kinds = st.sampled_from(KINDS)
numbers = st.integers(0, 2**32 - 1)
# Sizes around the limit matter most, and hypothesis would not draw so many bytes itself.
sizes = st.one_of(
    st.integers(0, 300),
    st.sampled_from(
        [FRAME_LIMIT - 1, FRAME_LIMIT, FRAME_LIMIT + 1, 2 * FRAME_LIMIT, 3 * FRAME_LIMIT + 5]
    ),
)
payloads = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda seed, size: (seed * (size // len(seed) + 1))[:size], st.binary(min_size=1), sizes
    ),
)
messages = st.tuples(kinds, numbers, payloads)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return the data, cut at these points."""
    points = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(points)]


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 2**21), max_size=30))
def test_what_was_encoded_comes_back(sent: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    """Messages of any size, cut anywhere on their way, arrive as they were, in order."""
    data = b"".join(frame for message in sent for frame in wire.encode(*message))
    decoder, assembler = Decoder(), Assembler(EVERYTHING)
    arrived = []
    for piece in pieces(data, cuts):
        for frame in decoder.feed(piece):
            assert len(frame[3]) <= FRAME_LIMIT
            arrived.append(assembler.add(frame))
        assert decoder.pending < HEADER_SIZE + FRAME_LIMIT
    assert [message for message in arrived if message is not None] == sent
    assert decoder.pending == 0


@given(
    st.dictionaries(st.tuples(kinds, numbers), payloads, min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_interleaved_messages_come_back(sent: dict[tuple[int, int], bytes], random: Random) -> None:
    """Frames of different messages may mix in any way; each message comes back whole."""
    waiting = {key: list(wire.encode(*key, payload)) for key, payload in sent.items()}
    decoder, assembler = Decoder(), Assembler(EVERYTHING)
    arrived: dict[tuple[int, int], bytes] = {}
    while waiting:
        key = random.choice(sorted(waiting))
        for frame in decoder.feed(waiting[key].pop(0)):
            message = assembler.add(frame)
            if message is not None:
                arrived[message[:2]] = message[2]
        if not waiting[key]:
            del waiting[key]
    assert arrived == sent


headers = st.builds(
    struct.Struct(">BBHII").pack,
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([0, 0, 0, 1]),
    numbers,
    st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
)
likely_headers = st.builds(
    struct.Struct(">BBHII").pack,
    kinds,
    st.integers(0, 1),
    st.just(0),
    st.integers(0, 3),
    st.sampled_from([0, 1, 5, FRAME_LIMIT - 1, FRAME_LIMIT, FRAME_LIMIT + 1, 2**32 - 1]),
)
garbage = st.lists(
    st.one_of(
        st.binary(max_size=60),
        headers,
        likely_headers,
        st.just(b"\x05\x01" * (FRAME_LIMIT // 2)),
    ),
    max_size=12,
)


@given(garbage)
@example([struct.pack(">BBHII", 5, 1, 0, 0, FRAME_LIMIT), bytes(FRAME_LIMIT - 1)])
def test_garbage_never_waits_for_more_than_a_frame(fed: list[bytes]) -> None:
    """Whatever arrives: frames come out or WireError, and less than one frame is kept."""
    decoder = Decoder()
    taken = given_back = 0
    for piece in fed:
        taken += len(piece)
        try:
            frames = decoder.feed(piece)
        except WireError:
            return
        given_back += sum(HEADER_SIZE + len(payload) for *_, payload in frames)
        assert decoder.pending < HEADER_SIZE + FRAME_LIMIT
        assert given_back + decoder.pending == taken


@given(garbage)
def test_an_assembler_keeps_to_its_limits(fed: list[bytes]) -> None:
    """Frames of hostile code never make it hold more than its limits allow."""
    limits = {wire.RESULT: 12, wire.CALL: 7}
    decoder, assembler = Decoder(), Assembler(limits, open_limit=2)
    try:
        for piece in fed:
            for frame in decoder.feed(piece):
                message = assembler.add(frame)
                assert message is None or len(message[2]) <= limits[message[0]]
                assert len(assembler._parts) <= 2
                for (kind, _), part in assembler._parts.items():
                    assert 0 < len(part) <= limits[kind]
    except WireError:
        pass


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">BBHII", 0, 1, 0, 0, 0),
        struct.pack(">BBHII", wire.SETUP_FAILED + 1, 1, 0, 0, 0),
        struct.pack(">BBHII", wire.RESULT, 2, 0, 0, 0),
        struct.pack(">BBHII", wire.RESULT, 1, 1, 0, 0),
        struct.pack(">BBHII", wire.RESULT, 1, 0, 0, FRAME_LIMIT + 1),
    ],
    ids=["kind 0", "kind over the last", "flag", "reserved bits", "length"],
)
def test_a_header_is_refused_before_its_payload(header: bytes) -> None:
    """A header that is none is told at once; nobody waits for what it announces."""
    decoder = Decoder()
    assert decoder.feed(header[:-1]) == []
    with pytest.raises(WireError, match="no frame"):
        decoder.feed(header[-1:])


@given(st.integers(0, 40), st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_a_message_over_its_limit_is_refused(limit: int, sizes_of_parts: list[int]) -> None:
    """The limit is on the sum of a message's frames: that much is taken, not a byte more."""
    assembler = Assembler({wire.RESULT: limit})
    so_far = 0
    for index, size in enumerate(sizes_of_parts):
        so_far += size
        last = index == len(sizes_of_parts) - 1
        frame = (wire.RESULT, last, 3, bytes(size))
        if so_far > limit:
            with pytest.raises(WireError, match=f"over {limit} bytes"):
                assembler.add(frame)
            return
        assert assembler.add(frame) == ((wire.RESULT, 3, bytes(so_far)) if last else None)


def test_a_kind_without_a_limit_is_refused() -> None:
    """Each side takes only what the other may send."""
    with pytest.raises(WireError, match="does not take"):
        Assembler({wire.RESULT: 10}).add((wire.CALL, True, 0, b""))


def test_an_empty_frame_is_a_message_only_if_it_is_the_last() -> None:
    """An empty message is fine; empty frames before the last could go on for ever."""
    assembler = Assembler({wire.RESULT: 10})
    assert assembler.add((wire.RESULT, True, 0, b"")) == (wire.RESULT, 0, b"")
    with pytest.raises(WireError, match="empty frame"):
        assembler.add((wire.RESULT, False, 0, b""))


def test_no_more_messages_are_open_than_the_limit() -> None:
    """One too many is refused; those under way may go on, and one that ended makes room."""
    assembler = Assembler({wire.CALL: 10}, open_limit=2)
    for number in (1, 2):
        assert assembler.add((wire.CALL, False, number, b"a")) is None
    with pytest.raises(WireError, match="more than 2 messages"):
        assembler.add((wire.CALL, False, 3, b"a"))
    assert assembler.add((wire.CALL, True, 4, b"whole")) == (wire.CALL, 4, b"whole")
    assert assembler.add((wire.CALL, False, 1, b"b")) is None
    assert assembler.add((wire.CALL, True, 1, b"c")) == (wire.CALL, 1, b"abc")
    assert assembler.add((wire.CALL, False, 3, b"a")) is None


@given(
    st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none()), max_size=4),
    st.binary(max_size=100),
)
def test_a_header_and_a_body_come_back(header: dict[str, object], body: bytes) -> None:
    """A message with a header and a body is split into the two that it was made of."""
    (frame,) = Decoder().feed(b"".join(wire.encode_message(wire.CALL, 1, header, body)))
    assert wire.split_message(frame[3]) == (header, body)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\x03{}",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\0",
        b"\0\0\0\x02[]",
        b"\0\0\0\x02\xff\xff",
        b"\0\x03\x0d\x40" + b"[" * 200_000,
    ],
    ids=["empty", "short", "cut", "huge", "no header", "a list", "no UTF-8", "deep"],
)
def test_a_header_that_is_none_is_refused(payload: bytes) -> None:
    """A message that can't be split is a WireError, whatever is wrong with it."""
    with pytest.raises(WireError):
        wire.split_message(payload)


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 40))
def test_a_header_over_its_limit_is_refused_unparsed(
    header: bytes, body: bytes, limit: int
) -> None:
    """The header's size is looked at before anything is copied or parsed; the body's is not."""
    payload = struct.pack(">I", len(header)) + header + body
    if len(header) > limit:
        with pytest.raises(wire.HeaderTooLargeError):
            wire.split_payload(payload, limit)
    else:
        assert wire.split_payload(payload, limit) == (header, body)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 9)), max_size=30),
    st.integers(1, 3),
)
def test_an_assembler_holds_the_messages_that_are_under_way_and_no_more(
    sent: list[tuple[int, bool, int]], open_limit: int
) -> None:
    """As many as its limit, of all kinds together; the next one's first frame is refused."""
    kinds = (wire.CALL, wire.RESULT)
    assembler = Assembler(dict.fromkeys(kinds, 1000), open_limit)
    under_way: set[tuple[int, int]] = set()
    for key, last, size in sent:
        kind, number = kinds[key % 2], key // 2
        frame = (kind, last, number, bytes(size))
        if not last and (kind, number) not in under_way and len(under_way) == open_limit:
            with pytest.raises(WireError, match="messages under way"):
                assembler.add(frame)
            return
        assert (assembler.add(frame) is not None) == last
        (under_way.discard if last else under_way.add)((kind, number))
        assert set(assembler._parts) == under_way


@given(st.binary(max_size=80))
def test_splitting_never_fails_otherwise(payload: bytes) -> None:
    """Any bytes are split or refused; no other exception comes out."""
    try:
        header, body = wire.split_message(payload)
    except WireError:
        return
    assert isinstance(header, dict)
    assert payload.endswith(body)
