"""Records of how a file was made (:mod:`graphkit.provenance`), in pictures, pages, reports and source.

Each format has a place for them that its readers pass over: a comment, metadata, a field. What is put there is ASCII in
one line, in which JSON escapes everything else, so that no name in it can end the comment or begin markup.
"""

from __future__ import annotations

import html
import re
import struct
import zlib
from typing import TYPE_CHECKING, Final

from graphkit.provenance import KEY, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx_ir as ir

    from graphkit.provenance import Record

__all__ = ["FORMS", "MERMAID_ROOM", "in_source", "in_zip", "marked", "of_zip", "room", "stamp", "stamped"]

_LINE: Final = 80
"""Characters of a record in each line of a comment."""
_ZIP_COMMENT: Final = 65_535
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_IHDR: Final = 25
"""Bytes of a PNG's first chunk, which is its size."""
MERMAID_ROOM: Final = 2_000
"""Characters that a record may have in Mermaid, which draws no more than 50,000 in all."""


def in_source(text: str) -> str:
    """A record as comments at the end of Python source."""
    return "\n\n" + _lines(text, "#")


def marked(content: bytes | str, form: str, *models: ir.Model | None, **options: object) -> bytes:
    """A file's content with the record of what it was made of in it.

    Args:
        content: The content; text is encoded as UTF-8.
        form: The suffix of the file, without the dot.
        models: What it was made of.
        options: Options that change it; those that are None or False are left out.
    """
    plain = content.encode() if isinstance(content, str) else content
    with recording(*models, **options) as record:
        text = record.record().text(room(form))
    return stamped(plain, form, text) if len(text) <= room(form) else plain


def in_zip(record: Record) -> bytes:
    """A record as the comment of a zip archive; nothing where it is too long for one."""
    text = f"{KEY}: {record.text(_ZIP_COMMENT - len(KEY) - 2)}".encode()
    return text if len(text) <= _ZIP_COMMENT else b""


def of_zip(comment: bytes) -> str | None:
    """The record that the comment of a zip archive is, as text; None where it is none."""
    mark = f"{KEY}: ".encode()
    return comment.removeprefix(mark).decode("ascii", "replace") if comment.startswith(mark) else None


def stamped(content: bytes, form: str, text: str) -> bytes:
    """A file's content with a record in it.

    Args:
        content: The content.
        form: The suffix of the file, without the dot; content of a form that is not one of :data:`FORMS` is returned
            as it is.
        text: The record, of :func:`room` characters at most.
    """
    put = _FORMS.get(form)
    return content if put is None else put[0](content, text)


def room(form: str) -> int:
    """Characters that a record may have in a form."""
    return MERMAID_ROOM if form == "mmd" else 1 << 18


def stamp(content: bytes, form: str) -> str | None:
    """The record in a file's content, as text; None where there is none.

    Args:
        content: The content, ``form`` being the suffix of the file: one of :data:`FORMS`.
        form: The suffix.
    """
    put = _FORMS.get(form)
    return None if put is None else put[1](content)


def _lines(text: str, mark: str) -> str:
    """A record as lines of comments, none of which ends in a space."""
    text = text.replace(" ", "\\u0020")
    first, *others = (text[start : start + _LINE] for start in range(0, len(text), _LINE))
    return "".join((f"{mark} {KEY}: {first}\n", *(f"{mark}   {part}\n" for part in others)))


def _of_lines(content: bytes, mark: str) -> str | None:
    start = content.rfind(f"\n{mark} {KEY}: ".encode())
    if start < 0:
        return None
    first, *others = content[start + 1 :].decode("ascii", "replace").splitlines()
    parts = [first.removeprefix(f"{mark} {KEY}: ")]
    for line in others:
        if not line.startswith(f"{mark}   "):
            break
        parts.append(line.removeprefix(f"{mark}   "))
    return "".join(parts)


def _put_source(content: bytes, text: str) -> bytes:
    return content + in_source(text).encode()


def _put_dot(content: bytes, text: str) -> bytes:
    return f"// {KEY}: {text}\n".encode() + content


def _put_mermaid(content: bytes, text: str) -> bytes:
    start = re.search(rb"^flowchart .*\n", content, re.MULTILINE)
    at = start.end() if start else len(content)
    return content[:at] + f"  %% {KEY}: {_unbraced(text)}\n".encode() + content[at:]


def _unbraced(text: str) -> str:
    """A record without braces, which Mermaid looks for in comments, as ``%%{`` is a directive."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("{", "<").replace("}", ">")


def _put_svg(content: bytes, text: str) -> bytes:
    start = re.search(rb"<svg\b[^>]*>", content)
    at = start.end() if start else len(content)
    return content[:at] + f"\n<metadata>{KEY}: {html.escape(text)}</metadata>".encode() + content[at:]


def _put_html(content: bytes, text: str) -> bytes:
    charset = b'<meta charset="utf-8">'
    told = f'\n<meta name="{KEY}" content="{html.escape(text)}">'.encode()
    return content.replace(charset, charset + told, 1)


def _put_xml(content: bytes, text: str) -> bytes:
    line, newline, rest = content.partition(b"\n")
    told = text.replace("-", "\\u002d")  # two of them would end the comment
    return line + newline + f"<!-- {KEY}: {told} -->\n".encode() + rest


def _put_markdown(content: bytes, text: str) -> bytes:
    told = text.replace("-", "\\u002d").replace(">", "\\u003e")
    return content + f"\n<!-- {KEY}: {told} -->\n".encode()


def _put_json(content: bytes, text: str) -> bytes:
    return content.replace(b"{\n", f'{{\n  "{KEY}": {text},\n'.encode(), 1)


def _put_png(content: bytes, text: str) -> bytes:
    at, body = len(_PNG) + _IHDR, f"tEXt{KEY}\0{text}".encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:at] + chunk + content[at:]


def _put_pdf(content: bytes, text: str) -> bytes:
    at = content.rfind(b"startxref")
    return content if at < 0 else content[:at] + _lines(text, "%").encode() + content[at:]


def _of_png(content: bytes) -> str | None:
    for kind, data in _chunks(content):
        name, _, text = data.partition(b"\0")
        if kind == b"tEXt" and name == KEY.encode():
            return text.decode("ascii", "replace")
    return None


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        at += size + 12


def _of_json(content: bytes) -> str | None:
    import json

    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return None
    found = told.get(KEY) if isinstance(told, dict) else None
    return None if found is None else json.dumps(found)


def _between(before: str, after: str, change: Callable[[str], str] = str) -> Callable[[bytes], str | None]:
    """What finds a record between two marks."""

    def find(content: bytes) -> str | None:
        start = content.find(before.encode())
        end = content.find(after.encode(), start + len(before)) if start >= 0 else -1
        return None if end < 0 else change(content[start + len(before) : end].decode("ascii", "replace"))

    return find


def _braced(text: str) -> str:
    return text.replace("<", "{").replace(">", "}")


def _of_markdown(content: bytes) -> str | None:
    return _between(f"<!-- {KEY}: ", " -->")(content[max(content.rfind(b"\n<!-- "), 0) :])


_FORMS: Final[dict[str, tuple[Callable[[bytes, str], bytes], Callable[[bytes], str | None]]]] = {
    "dot": (_put_dot, _between(f"// {KEY}: ", "\n")),
    "mmd": (_put_mermaid, _between(f"\n  %% {KEY}: ", "\n", _braced)),
    "svg": (_put_svg, _between(f"<metadata>{KEY}: ", "</metadata>", html.unescape)),
    "html": (_put_html, _between(f'<meta name="{KEY}" content="', '"', html.unescape)),
    "xml": (_put_xml, _between(f"<!-- {KEY}: ", " -->")),
    "md": (_put_markdown, _of_markdown),
    "json": (_put_json, _of_json),
    "png": (_put_png, _of_png),
    "pdf": (_put_pdf, lambda content: _of_lines(content, "%")),
    "py": (_put_source, lambda content: _of_lines(content, "#")),
}
FORMS: Final = frozenset(_FORMS)
"""Suffixes of the forms that take a record."""
