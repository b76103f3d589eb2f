"""Encoding: bytes to UTF-8: as the user says, by their mark, or by what they can only be."""
from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from forecast.errors import DataError, about
from forecast.text import quoted

CHUNK = 1 << 20
_BOMS = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
         (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def decode(raw: bytes, file: str, encoding: str | None) -> tuple[bytes, str, tuple[str, ...]]:
    """UTF-8 bytes, the encoding found, and what to say of it."""
    name, skip = _marked(raw)
    if encoding is not None:
        if name and encoding.lower().replace("_", "-") in ("utf-16", "utf16", "utf-32", "utf32") and \
                name.startswith(codecs.lookup(encoding).name):
            encoding = name                                         # the mark tells the order of the bytes
        return _as_given(raw[skip:] if name else raw, file, encoding)
    if name is None:
        name = _unmarked_wide(raw)
    if name is not None and name != "utf-8":
        return _transcoded(raw[skip:], file, name), name, (f"encoding {name}",)
    body = raw[skip:] if skip else raw
    if body.endswith(b"\x1a"):                                      # how DOS ends a file
        body = body[:-1]
    if body.startswith(codecs.BOM_UTF8):                            # written twice by some exports
        body = body[3:]
    if b"\0" in body:
        at = body.index(b"\0")
        raise DataError("holds a NUL byte", file=file, row=_line_at(body, at), code="nul_byte",
                        hint="The file is damaged or is no text")
    fault = _first_invalid(body)
    if fault is None:
        return body, "utf-8-sig" if skip else "utf-8", ()
    return _western(body, file, fault)


def _marked(raw: bytes) -> tuple[str | None, int]:
    return next(((name, len(bom)) for bom, name in _BOMS if raw.startswith(bom)), (None, 0))


def _unmarked_wide(raw: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: every other byte of the first lines is NUL."""
    head = raw[:400]
    if len(head) < 8 or b"\0" not in head:
        return None
    zeros = [sum(b == 0 for b in head[k::4]) / len(head[k::4]) for k in range(4)]
    shapes = {"utf-32-le": (0, 1, 1, 1), "utf-32-be": (1, 1, 1, 0), "utf-16-le": (0, 1, 0, 1),
              "utf-16-be": (1, 0, 1, 0)}
    return next((name for name, shape in shapes.items()
                 if all(z > 0.9 if s else z < 0.1 for z, s in zip(zeros, shape, strict=True))), None)


def check_encoding(name: str) -> str:
    """The name by which Python knows an encoding of text. Raises DataError."""
    try:
        known = codecs.lookup(name).name
        "".encode(known)
    except (LookupError, ValueError) as error:
        raise DataError(f"--encoding {quoted(name)} is not known", code="bad_encoding",
                        hint="As in utf-8, cp1252, utf-16") from error
    return known


def _as_given(raw: bytes, file: str, encoding: str) -> tuple[bytes, str, tuple[str, ...]]:
    with about(file):
        name = check_encoding(encoding)
    return _transcoded(raw, file, name), name, ()


def _transcoded(raw: bytes, file: str, name: str) -> bytes:
    try:
        text = raw.decode(name)
        body = text.lstrip("\ufeff").encode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + raw[:error.start].decode(name, "replace").count("\n")
        raise DataError(f"byte {error.start:,} does not fit the encoding {name}", file=file, row=line,
                        code="bad_encoding", hint="Try --encoding") from error
    except (UnicodeError, TypeError, AttributeError) as error:
        raise DataError(f"cannot be read as {name}", file=file, code="bad_encoding", hint="Try --encoding") from error
    if b"\0" in body:
        raise DataError("holds a NUL byte", file=file, row=_line_at(body, body.index(b"\0")), code="nul_byte")
    return body


def _first_invalid(data: bytes) -> int | None:
    """Where the bytes stop being UTF-8; None where they never do."""
    if data.isascii():
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(data), CHUNK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[at:at + CHUNK], final=at + CHUNK >= len(data))
        except UnicodeDecodeError as error:
            return at - pending + error.start
    return None


def _western(data: bytes, file: str, fault: int) -> tuple[bytes, str, tuple[str, ...]]:
    """cp1252, where every foreign byte is a letter or sign of Western Europe and none looks like damaged UTF-8."""
    eastern = next((marks for marks, beside in _EASTERN if data.translate(None, _OTHERS[marks]) and
                    not data.translate(None, _OTHERS[beside])), None)
    if eastern is not None:                                         # Czech, Polish, Hungarian: the same bytes in cp1250
        fault = min(at for b in eastern.encode("cp1252") if (at := data.find(b)) >= 0)
    line = _line_at(data, fault)
    names = ("cp1252", "cp1250" if eastern else "shift_jis")
    refusal = DataError(f"byte 0x{data[fault]:02x} at {fault:,} is not UTF-8", file=file, row=line, code="bad_encoding",
                        hint=_candidates(data, fault, names))
    if eastern is not None:
        raise refusal
    if re.search(rb"[\xc3-\xf4][\x80-\xbf]", data):                 # UTF-8 and something else in one file
        raise refusal
    if data.translate(None, bytes(range(128)) + _WESTERN):
        raise refusal
    if re.search(rb"[A-Za-z][%b][a-z]" % _SIGNS, data):             # a sign inside a word: letters of another alphabet
        raise refusal
    foreign = len(re.findall(rb"[\x80-\xff]", data))
    alone = len(re.findall(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])", data))
    if alone < 0.9 * foreign:                                       # runs of them: another alphabet
        raise refusal
    return data.decode("cp1252").encode("utf-8"), "cp1252", ("encoding cp1252 (found; --encoding changes it)",)


_SIGNS = "²³°µ§½€£¿¡«»·".encode("cp1252")
_OTHERS = {letters: bytes(set(range(256)) - set(letters.encode("cp1252"))) for letters in ("õÕ", "ãÃ", "òìÒÌ", "àÀ")}
_EASTERN = (("õÕ", "ãÃ"), ("òìÒÌ", "àÀ"))       # letters of cp1250 too, unless Portuguese or Italian: they use both
_WESTERN = ("äöüßÄÖÜéèêëàâîïôûùçœæÉÈÊËÀÂÎÏÔÛÙÇáíóúñÁÍÓÚÑ¿¡ãõÃÕåøÅØìòÌÒ"
            "€£°²³µ§½–—’‘“”…«»·ºª\xa0").encode("cp1252")


def _candidates(data: bytes, at: int, names: Sequence[str]) -> str:
    """Two readings of the neighbourhood, as a hint."""
    begin = max(at - 6, data.rfind(b"\n", 0, at) + 1)
    piece = data[begin:at + 8].split(b"\n")[0].rstrip(b"\r")
    shown = [f"{name} ({quoted(piece.decode(name, 'replace'), 16)})" for name in names]
    return f"Try --encoding {' or '.join(shown)}"


def _line_at(data: bytes, offset: int) -> int:
    """The physical line of a byte, CR LF, LF and lone CR each ending one."""
    head = data[:offset]
    return 1 + head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n")
