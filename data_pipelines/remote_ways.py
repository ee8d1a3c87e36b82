"""The ways to what is not on this machine; `data_pipelines.remote` tries again and names the path.

| address | where the plugins of tensorflow-io load | elsewhere |
|---|---|---|
| `s3://` | fsspec with s3fs where it is installed, else tensorflow-io | s3fs, the extra `s3` |
| `gs://` | TensorFlow, where it has that file system | fsspec with gcsfs, the extra `gs` |
| `http://`, `https://` | requests | requests |

tensorflow-io 0.35 to 0.37.1 reads S3 and then aborts the process as it ends, "pure virtual method
called", exit code 134 (its issues 1912 and 2039): hence s3fs goes first. Its plugin for the web is
not used: it takes whatever bytes come for those it asked for, from a server that gives another
range too, and does not notice a file that is replaced while it is read.

Where to ask and as whom is for each of these packages to find: s3fs takes what boto takes
(`AWS_ENDPOINT_URL`, `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, ...), tensorflow-io the same keys and
`S3_ENDPOINT`, an address with `http://` or `https://`, once in a process. Without any keys s3fs
asks anonymously.
"""

import contextlib
import dataclasses
import functools
import html.parser
import importlib.util
import logging
import os
import queue
import re
import threading
import time
import urllib.parse
import warnings

_LOG = logging.getLogger(__name__)

# For a connection and for each piece of an answer; and for one whole answer of a block.
TIMEOUT_SEC, ANSWER_SEC = 20.0, 60.0

_PIECE_BYTES, _PAGE_BYTES = 1 << 16, 16 << 20
_TRANSIENT = (408, 425, 429)


class Failed(Exception):
    """It did not work this time; the text says why, without an address."""


class Refused(Exception):
    """It will not work the next time either; the text goes on after the path, as in "is gone".

    Args:
        text: Text.
        error: Class of the error that it is for the caller.
    """

    def __init__(self, text, error=OSError):
        super().__init__(text)
        self.error = error


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or a folder.

    Attributes:
        url: Its address.
        is_folder: Whether it is a folder.
        st_size: Bytes of a file; `None` where the server does not say.
        version: What changes when the file does (a tag or a time), or `None`.
        ranges: Whether parts of it can be read; `None` where a listing does not tell.
        content_type: Of the web, what the server calls its content, else `""`.
    """

    url: str
    is_folder: bool
    st_size: int | None = None
    version: str | None = None
    ranges: bool | None = True
    content_type: str = ""


class Web:
    """`http://` and `https://`, by requests, which comes with TensorFlow.

    A folder is a page, and what it holds are the links on it to what is directly below. Told by
    looking: an address that ends in `/` is a folder, one whose content is HTML too.
    """

    name = "requests"

    def stat(self, url):
        with self._asked(url, {"Range": "bytes=0-0"}, allowed=(416,)) as answer:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            total = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
            size = total[1] if total else answer.headers.get("Content-Length")
            version = _version(answer)
            is_page = kind in ("text/html", "application/xhtml+xml")
            is_folder = is_page or without_query(url).endswith("/")
            return Entry(
                url, is_folder, int(size) if size and size.isdigit() else None, version,
                ranges=answer.status_code in (206, 416) and total is not None, content_type=kind,
            )  # fmt: skip

    def list(self, url):
        page = bytearray()
        with self._asked(url) as answer:
            base = without_query(answer.url).rstrip("/") + "/"
            for piece in self._pieces(answer):
                page += piece
                if len(page) > _PAGE_BYTES:
                    raise Refused("is a page too large to be the list of a folder")
            try:
                text = page.decode(answer.encoding or "utf-8", "replace")
            except LookupError:  # a charset that nobody knows
                text = page.decode("utf-8", "replace")
        links, above = _Links(), without_query(url).rstrip("/") + "/"
        links.feed(text)
        found = {}
        for link in links.found:
            # Links with a question mark sort the list.
            there = urllib.parse.urljoin(base, link).partition("#")[0]
            rest = there[len(base) :]
            if there.startswith(base) and re.fullmatch(r"[^/?]+/?", rest):
                found[rest] = Entry(above + rest, rest.endswith("/"), ranges=None)
        return list(found.values())

    def read(self, url, offset, length, size=None, version=None):
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        with self._asked(url, wanted, allowed=(416,)) as answer:
            given = answer.headers.get("Content-Range", "")
            total = re.search(r"/(\d+)$", given)
            if size is not None and total and int(total[1]) != size:
                raise Refused(
                    f"has changed while it was read: it had {size} bytes and has {total[1]} now"
                )
            check_status(answer.status_code)
            if None not in (version, now := _version(answer)) and now != version:
                raise Refused(
                    f"has changed while it was read: its version was {version} and is {now} now"
                )
            if answer.status_code != 206:
                raise Failed(f"its server gave no range, but HTTP status {answer.status_code}")
            if not re.match(rf"bytes {offset}-", given):
                raise Failed(f"its server gave another range: {given or 'it does not say which'}")
            found = bytearray()
            for piece in self._pieces(answer, time.monotonic() + ANSWER_SEC):
                found += piece
                if len(found) >= length:
                    break
            return bytes(found[:length])

    def stream(self, url):
        with self._asked(url) as answer:
            yield from self._pieces(answer)

    @contextlib.contextmanager
    def _asked(self, url, headers=(), allowed=()):
        import requests

        scheme, _, rest = url.partition("://")
        user_info, at, rest = re.fullmatch(r"(?:([^/?#]*)(@))?(.*)", rest, re.DOTALL).groups()
        user, _, password = (user_info or "").partition(":")
        auth = (urllib.parse.unquote(user), urllib.parse.unquote(password)) if at else None
        try:
            with _session().get(
                f"{scheme}://{rest}", auth=auth, stream=True, timeout=TIMEOUT_SEC,
                # Ranges count the bytes that are sent: packed ones would be others.
                headers={"Accept-Encoding": "identity", **dict(headers)},
            ) as answer:  # fmt: skip
                if answer.status_code not in allowed:
                    check_status(answer.status_code)
                yield answer
        except requests.exceptions.InvalidURL:
            raise Refused("is no address of the web", ValueError) from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise Failed(_reason(error)) from None

    def _pieces(self, answer, until=float("inf")):
        declared, given = answer.headers.get("Content-Length", ""), 0
        for piece in answer.iter_content(_PIECE_BYTES):
            given += len(piece)
            yield piece
            if time.monotonic() > until:
                raise Failed(f"{given} bytes in {ANSWER_SEC:g} seconds")
        if declared.isdigit() and given < int(declared):
            raise Failed(f"its server broke off after {given} of {declared} bytes")


class FileSystem:
    """`s3://` and `gs://`, by fsspec.

    Args:
        scheme: `"s3"` or `"gs"`.

    Raises:
        ImportError: The package is not installed; the message names the extra.
        OSError: It cannot be set up with the profile or the keys that it finds.
    """

    def __init__(self, scheme):
        package = {"s3": "s3fs", "gs": "gcsfs"}[scheme]
        self.name = f"fsspec with {package}"
        try:
            importlib.import_module(package)
            import fsspec

            self._system = fsspec.filesystem(
                scheme, skip_instance_cache=True, use_listings_cache=False, **_options(scheme)
            )
        except ImportError as error:
            raise ImportError(
                f"{scheme}:// needs the package {package}, or a TensorFlow beside which the "
                "plugins of tensorflow-io load: pip install "
                f"'unsupervised-video-zoo[{scheme}]' ({error})"
            ) from error
        except Exception as error:
            # A profile of that name is not there, for instance; they have no class in common.
            raise OSError(f"{scheme}:// cannot be read by {self.name}: {error}") from error
        # Tries are counted in one place.
        self._system.retries = 1
        self._scheme = scheme

    def stat(self, url):
        # A key and a folder may have the same name; a name that ends in / is the folder.
        found = self._called(self._system.info, url.rstrip("/"))
        return self._entry(found, url)

    def list(self, url):
        above = self._system._strip_protocol(url).rstrip("/")
        found = self._called(self._system.ls, url.rstrip("/"), detail=True)
        # A folder made by a console is a key of its own, of no bytes, in itself.
        return [self._entry(one) for one in found if one["name"].rstrip("/") != above]

    def read(self, url, offset, length, size=None, version=None):
        return self._called(self._system.cat_file, url, start=offset, end=offset + length)

    def _entry(self, found, url=None):
        is_folder = found["type"] == "directory"
        version = found.get("ETag") or found.get("etag") or found.get("LastModified")
        return Entry(
            url or f"{self._scheme}://{found['name'].rstrip('/')}" + ("/" if is_folder else ""),
            is_folder, None if is_folder else found["size"], version and str(version),
        )  # fmt: skip

    def _called(self, function, url, **arguments):
        import concurrent.futures

        try:
            return function(url, **arguments)
        except FileNotFoundError:
            raise Refused("does not exist", FileNotFoundError) from None
        except PermissionError as error:
            raise Refused(f"must not be read: {error}", PermissionError) from None
        except (TimeoutError, concurrent.futures.TimeoutError):
            raise Failed(f"no answer within {TIMEOUT_SEC:g} seconds") from None
        except Exception as error:
            # botocore, aiohttp and Google have no class of errors in common.
            status = _status_of(error)
            if status:
                check_status(status)
            raise Failed(_reason(error)) from None


class TensorFlow:
    """The file systems of TensorFlow, those of the plugins of tensorflow-io among them."""

    name = "tensorflow-io"

    def stat(self, url):
        import tensorflow as tf

        # A bucket by itself is none to the plugin for S3.
        asked = url if "/" in url.partition("://")[2] else url + "/"

        def ask():
            found = tf.io.gfile.stat(asked)
            is_folder = found.is_directory or url.endswith("/")
            return Entry(url, is_folder, None if is_folder else found.length,
                         str(found.mtime_nsec))  # fmt: skip

        return self._called(ask)

    def list(self, url):
        import tensorflow as tf

        above = url.rstrip("/") + "/"

        def ask():
            # One call for each, since names alone do not tell a folder everywhere.
            names = dict.fromkeys(name.strip("/") for name in tf.io.gfile.listdir(above))
            return [
                Entry(above + name + ("/" if is_folder else ""), is_folder, ranges=None)
                for name in names if name
                for is_folder in (tf.io.gfile.isdir(above + name),)
            ]

        return self._called(ask)

    def read(self, url, offset, length, size=None, version=None):
        import tensorflow as tf

        def ask():
            with tf.io.gfile.GFile(url, "rb") as file:
                file.seek(offset)
                return file.read(length)

        return self._called(ask)

    def _called(self, function):
        import tensorflow as tf

        errors = tf.errors
        try:
            return _in_time(function)
        except errors.NotFoundError:
            raise Refused("does not exist", FileNotFoundError) from None
        except (errors.PermissionDeniedError, errors.UnauthenticatedError):
            raise Refused("must not be read: permission denied", PermissionError) from None
        except (errors.InvalidArgumentError, errors.UnimplementedError) as error:
            raise Refused(f"cannot be read: {_first_line(error)}") from None
        except errors.OpError as error:
            status = re.search(r"\b(?:HTTP|status|code)[^0-9]{1,20}([45]\d\d)\b", str(error), re.I)
            if status:
                check_status(int(status[1]))
            raise Failed(_first_line(error)) from None


@functools.cache
def way_of(scheme):
    """Gives the way to addresses of a scheme: tried out once in a process, and kept.

    Args:
        scheme: `"s3"`, `"gs"`, `"http"` or `"https"`.

    Raises:
        ImportError: No package for it is installed; the message names the extra.
        OSError: The package for it cannot be set up.
    """
    if scheme in ("http", "https"):
        return Web()
    if scheme == "s3" and importlib.util.find_spec("s3fs") is not None:
        return FileSystem(scheme)
    return TensorFlow() if scheme in tensorflow_schemes() else FileSystem(scheme)


@functools.cache
def tensorflow_schemes():
    """Returns which of `s3` and `gs` TensorFlow reads here, by tensorflow-io's plugins or its own.

    That they do not load beside the newer TensorFlow is told by `zoo doctor`, so what
    tensorflow-io warns of on its import is not said here.
    """
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import tensorflow_io.python.ops  # noqa: F401
        except ImportError:
            pass
        except Exception as error:
            # A build for another TensorFlow fails with whatever its loader says.
            _LOG.info("tensorflow-io does not load: %s", error)
    return frozenset(tf.io.gfile.get_registered_schemes()) & {"s3", "gs"}


def without_query(url):
    """Returns an address of the web up to its question mark or hash sign."""
    return re.sub(r"[?#].*", "", url)


def check_status(status):
    """Raises what an HTTP status means, if it is one of failure: `Failed` or `Refused`."""
    if status in (401, 403):
        raise Refused(f"must not be read: HTTP status {status}", PermissionError)
    if status in (404, 410):
        raise Refused(f"does not exist: HTTP status {status}", FileNotFoundError)
    if status >= 500 or status in _TRANSIENT:
        raise Failed(f"HTTP status {status}")
    if status >= 400:
        raise Refused(f"cannot be read: HTTP status {status}")


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.found += [value for name, value in attributes if name == "href" and value]


_local = threading.local()

# Connections, and the threads of fsspec, are those of the process that made them.
os.register_at_fork(after_in_child=lambda: (way_of.cache_clear(), _local.__dict__.clear()))


def _session():
    # One a thread: connections are kept, and a session is not made for several threads.
    import requests

    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    return _local.session


def _options(scheme):
    if scheme == "gs":
        return {}
    import botocore.session

    return {
        "anon": botocore.session.get_session().get_credentials() is None,
        "config_kwargs": {
            "connect_timeout": TIMEOUT_SEC, "read_timeout": TIMEOUT_SEC,
            "retries": {"max_attempts": 0},
        },
    }  # fmt: skip


def _in_time(function):
    """Calls what may never return, in a thread that is left behind then."""
    answers = queue.Queue()

    def run():
        try:
            answers.put((function(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        found, error = answers.get(timeout=ANSWER_SEC)
    except queue.Empty:
        raise Failed(f"no answer within {ANSWER_SEC:g} seconds") from None
    if error is not None:
        raise error
    return found


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status_of(error):
    for one in _chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict):  # botocore
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = getattr(one, "code", None) or getattr(one, "status", None)  # gcsfs, aiohttp
        if str(code).isdigit():
            return int(code)
    return None


def _version(answer):
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified")


def _reason(error):
    """What an error of a connection is, without the address that its own text may hold."""
    names = [type(one).__name__ for one in _chain(error)]
    if any("timeout" in name.lower() for name in names):
        return f"no answer within {TIMEOUT_SEC:g} seconds"
    if any(word in name for name in names for word in ("NameResolution", "gaierror", "DNS")):
        return "its host is not known"
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno and one.strerror:
            return re.sub(r"^\[Errno .*?\] |\s*\[.*\]$", "", one.strerror)
    if any(name in ("IncompleteRead", "ProtocolError", "ClientPayloadError") for name in names):
        return "its server broke off in the middle"
    return names[0]


def _first_line(error):
    line = str(getattr(error, "message", error)).strip().partition("\n")[0]
    # Plugins quote the address, with its secrets.
    return re.sub(r"\S+://\S+", "***", line)[:200]
