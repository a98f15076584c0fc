"""Text from bytes whose charset a stranger names."""

from __future__ import annotations

from typing import Final

UTF_8: Final = "utf-8"

_CODECS: Final = {
    "ascii": "ascii",
    "us-ascii": "ascii",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))},
    **{f"windows-125{page}": f"cp125{page}" for page in range(9)},
    **{f"cp125{page}": f"cp125{page}" for page in range(9)},
    "windows-874": "cp874",
    "tis-620": "cp874",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "shift-jis": "cp932",
    "windows-31j": "cp932",
    "euc-jp": "euc-jp",
    "iso-2022-jp": "iso2022-jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5-hkscs",
    "euc-kr": "cp949",
}
"""Codecs that take time in proportion to the bytes, by the names that servers use for them.

Python has others that do not (punycode), that are no charsets (idna, undefined), and it keeps
every name for ever that it was asked about, so it is asked about none but these.
"""


def text_of(body: bytes, charset: str) -> str:
    """`body` in `charset`; in UTF-8 when that is not one of ours. What is no text is replaced."""
    codec = _CODECS.get(charset.lower().replace("_", "-"), UTF_8)
    return body.decode(codec, "replace")
