"""Text files that somebody or something has spoiled, for property tests: good content with a few changes."""

from __future__ import annotations

import bz2
import gzip
import lzma

from hypothesis import strategies as st

PIECES = st.sampled_from(
    [
        *(b"", b"\0", b'"', b"'", b",", b"\t", b";", b"|", b" ", b"\r", b"\r\n", b"\n", b"\n\n", b"\xef\xbb\xbf"),
        *(b"\xff", b"\x85", "\u2028".encode(), "é".encode(), b"#", b">", b"> ", b">pep1\n", b"*", b"**", b"-", b"."),
        *(b"nan", b"1e999", b"-1", b"0x1", b"<=5", b"SCORE: ", b"SEQUENCE:", b"{", b"}", b"[", b"null", b"description"),
        *(b"sep=;\n", b"=1+1", b"../../x", b"pep2", b"recA", b"train", b"A" * 3_000, b"," * 3_000, b"x" * 150_000),
    ]
)


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with one to three changes of its structure or bytes; now and then packed, and cut."""
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(CHANGES))(draw, content)
    if draw(st.integers(0, 5)) == 0:
        content = draw(st.sampled_from([gzip.compress, bz2.compress, lzma.compress]))(content)
        if draw(st.booleans()):
            content = content[: draw(st.integers(0, len(content)))]
    return content


def _lines_changed(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at, to = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
    kind = draw(st.sampled_from(["double", "remove", "exchange", "cut", "repeat", "join"]))
    if kind == "double":
        lines.insert(to, lines[at])
    elif kind == "remove":
        del lines[at]
    elif kind == "exchange":
        lines[at], lines[to] = lines[to], lines[at]
    elif kind == "cut":
        lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    elif kind == "repeat":
        lines[at:at] = [lines[at]] * draw(st.sampled_from([2, 300]))
    else:
        lines[at : at + 2] = [b"".join(lines[at : at + 2])]
    return b"\n".join(lines)


def _columns_changed(draw: st.DrawFn, content: bytes) -> bytes:
    """In all lines, or in one of them, two cells exchanged, removed or doubled."""
    delimiter = next((d for d in (b"\t", b",", b" ") if d in content), b",")
    lines = content.split(b"\n")
    only = draw(st.none() | st.integers(0, len(lines) - 1))
    first, second = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    kind = draw(st.sampled_from(["exchange", "remove", "double"]))
    for number, line in enumerate(lines):
        cells = line.split(delimiter)
        if max(first, second) < len(cells) and only in (None, number):
            if kind == "exchange":
                cells[first], cells[second] = cells[second], cells[first]
            elif kind == "remove":
                del cells[first]
            else:
                cells.insert(second, cells[first])
            lines[number] = delimiter.join(cells)
    return b"\n".join(lines)


def _replaced(draw: st.DrawFn, content: bytes) -> bytes:
    """Delimiters or line ends, all or some of them, by others."""
    old = draw(st.sampled_from([b",", b"\t", b"\n", b" ", b".", b":", b"_", b"|", b'"']))
    return content.replace(old, draw(PIECES)[:10], draw(st.sampled_from([-1, 1, 2])))


def _inserted(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    length = draw(st.sampled_from([0, 0, 1, 5]))
    return content[:at] + draw(PIECES | st.binary(max_size=6)) + content[at + length :]


def _bytes_flipped(draw: st.DrawFn, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


def _cut(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


CHANGES = [_lines_changed, _lines_changed, _columns_changed, _replaced, _inserted, _inserted, _bytes_flipped, _cut]
