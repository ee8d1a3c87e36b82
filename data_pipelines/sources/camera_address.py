"""What the address of a camera says, and how it is shown without its secrets."""

import dataclasses
import re
import urllib.parse

# Nothing but a stream lies behind these; http and https may as well be a file.
_STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp")
_OWN_SCHEMES = ("mjpeg+http", "mjpeg+https")

# Cameras take passwords in the path and in the query as well (`/user=admin&password=1234`), under
# names nobody can list: so the values of these names are shown and no others.
_SHOWN = frozenset(
    "camera cam ch channel chan fps height id index profile resolution stream streamtype subtype "
    "track unicast width".split()
)

_FORMS = (
    "a device number ('0', 'camera:0', '/dev/video0'), 'rtsp://...', 'mjpeg+http://...' (with "
    "kind='camera' also 'http://...'), or 'ffmpeg+' before any other address that FFmpeg opens"
)


@dataclasses.dataclass(frozen=True)
class Address:
    """The address of a camera, taken apart.

    Attributes:
        name: How it is shown: without user, password and whatever else may be secret.
        transport: `"device"`, `"mjpeg"` (motion JPEG over HTTP) or `"ffmpeg"`.
        target: What to open: a device number or path, or an address; of `"mjpeg"` without user
            and password, of `"ffmpeg"` with them.
        user: User name for HTTP, or `None`.
        password: Password for HTTP, or `None`.
        secrets: Strings that must not be shown, the longest first.
    """

    name: str
    transport: str
    target: int | str = dataclasses.field(repr=False)
    user: str | None = dataclasses.field(default=None, repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)
    secrets: tuple = dataclasses.field(default=(), repr=False)

    def scrub(self, text):
        """Returns `text` without the secrets of this address."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def is_camera(source):
    """Says whether `source` can be nothing but the address of a camera.

    Args:
        source: What was given to `open_source`. A bare number counts (whether a folder of that
            name is there is for the caller to see), `http://...` does not.

    Example:
        >>> [is_camera(s) for s in ("camera:0", "rtsp://gate/1", "http://gate/1", "gate.avi")]
        [True, True, False, False]
    """
    text = _text(source)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    return bool(
        re.fullmatch(r"[0-9]+|camera:[0-9]+|/dev/video[0-9]+", text)
        or scheme in _STREAM_SCHEMES + _OWN_SCHEMES
        or scheme.startswith("ffmpeg+")
    )


def parse(source):
    """Takes an address apart.

    Args:
        source: Device number (int or str), `camera:NUMBER`, `/dev/...`, `rtsp://...`, `http://...`
            or `https://...` (also after `mjpeg+`), `ffmpeg+ADDRESS`, or any other `SCHEME://...`.

    Returns:
        `Address`.

    Raises:
        ValueError: It is none of these, or has no host or a wrong port. The message shows no
            secret.

    Example:
        >>> parse("rtsp://admin:1234@gate:554/live?channel=2&key=abc").name
        'rtsp://***@gate:554/live?channel=2&key=***'
    """
    text = _text(source)
    device = re.fullmatch(r"(?:camera:|/dev/video)?([0-9]{1,4})", text)
    if device:
        return Address(f"camera:{int(device[1])}", "device", int(device[1]))
    if text.startswith("/dev/"):
        return Address(text, "device", text)
    scheme, separator, rest = text.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme):
        raise _wrong(source, "is none of these")
    scheme = scheme.lower()
    prefix, _, bare = scheme.rpartition("+")
    if prefix not in ("", "mjpeg", "ffmpeg") or (prefix == "mjpeg" and bare[:4] != "http"):
        raise _wrong(source, "has a prefix that is unknown")
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise _wrong(source, "holds blanks or control characters; write them as %20")
    if prefix != "ffmpeg" and bare in ("http", "https"):
        return _http(source, bare, rest)
    user_info = rest.rpartition("@")[0]
    target = f"{bare}://{rest}"
    return Address(redacted(target), "ffmpeg", target, secrets=_secrets(target, user_info))


def redacted(source):
    """Returns an address, or what may be one, without user, password and other secrets.

    Args:
        source: Anything that was given as a source; the path of a file comes back as it is.

    Example:
        >>> redacted("http://admin:a@b/c@gate/video?token=12"), redacted("footage/a@b?c=d.avi")
        ('http://***@gate/video?token=***', 'footage/a@b?c=d.avi')
    """
    text = _text(source)
    begin = re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text)
    if not begin:
        return text
    # Up to the last @: whoever forgot to write an @ or a / of a password as %40 or %2F is safe.
    user_info, at, rest = text[begin.end() :].rpartition("@")
    rest = re.sub(r"([^/?&;=]*)=([^&;]*)", _shown_value, rest.partition("#")[0])
    path, question, query = rest.partition("?")
    if question:
        query = re.sub(r"(?<![^&;])[^&;=]+(?![^&;])", "***", query)
    return begin[0].lower() + ("***@" if at else "") + path + question + query


def _shown_value(match):
    name, value = match.groups()
    shown = name.lower() in _SHOWN and re.fullmatch(r"[\w.:-]{0,20}", value)
    return f"{name}={value if shown else '***'}"


def _http(source, scheme, rest):
    # What follows the last @ before the path is the host.
    authority = re.match(r"[^/?#]*", rest)[0]
    user_info, _, host = authority.rpartition("@")
    target = f"{scheme}://{host}{rest[len(authority):]}".partition("#")[0]
    try:
        parts = urllib.parse.urlsplit(target)
        right = bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        # Not `from`: the other message holds what stands in the place of the port.
        raise _wrong(
            source, "has no host or a wrong port; in a password write @ as %40, / as %2F, : as %3A"
        ) from None
    user, colon, password = user_info.partition(":")
    return Address(
        redacted(f"{scheme}://{rest}"), "mjpeg", target,
        user=urllib.parse.unquote(user) if user_info else None,
        password=urllib.parse.unquote(password) if user_info else None,
        secrets=_secrets(target, user_info),
    )


def _secrets(target, user_info):
    found = {user_info, user_info.partition(":")[2]}
    if redacted(target) != target:
        found |= {target}
    for name, value in re.findall(r"([^/?&;=]*)=([^&;#]*)", target.rpartition("@")[2]):
        if name.lower() not in _SHOWN:
            found.add(value)
    found |= {urllib.parse.unquote(secret) for secret in found}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _text(source):
    # A `Path` makes one slash of the two after the scheme.
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+:/)(?=[^/])", r"\1/", str(source))


def _wrong(source, why):
    return ValueError(
        f"`source` must be {_FORMS}. Received: {redacted(source)}, which {why}"
    )
