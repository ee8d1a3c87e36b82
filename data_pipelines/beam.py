"""The shards of `shards.prepare` by a pipeline of Apache Beam: for archives that need a cluster.

What is a unit of `shards.plan` is an element of the pipeline: a worker makes its shards and writes
them, and the last step writes the index. The bytes are those of `prepare`, whatever the runner.

Workers must have this package installed and see the footage under the same path or address. The
files are opened and counted where the pipeline is put together, not by the workers.
"""

import contextlib
import re
import uuid

from data_pipelines import shards
from data_pipelines.shard_format import ARRAYS, INDEX, SHARD
from data_pipelines.whole_files import PART

# What a pipeline that was broken off may leave: shards, parts of files, and the arrays of an index.
_OURS = re.compile(
    rf"{SHARD.pattern}|{re.escape(ARRAYS)}|({re.escape(ARRAYS)}|{re.escape(INDEX)}){re.escape(PART)}-"
)

# Of options that contradict each other the last counts.
_HERE = "--runner=FnApiRunner"


def prepare(source, out, *, options=(), fps=None, size=None, channels=1, kind=None, split=None,
            quality=95):
    """Turns footage into a folder of shards, as `data_pipelines.prepare` does, by Apache Beam.

    A pipeline that failed is run again by the same call, and makes all shards again. A folder that
    is finished is left as it is.

    Args:
        source: As of `data_pipelines.prepare`; its workers must see it.
        out: Folder for the shards: new, empty, or holding shards alone; a path that all workers
            see, or whatever address Beam writes to (`gs://`, `s3://`).
        options: List of str, Beam's pipeline options: `["--runner=FlinkRunner",
            "--flink_master=host:8081"]`, `["--runner=DataflowRunner", "--project=...", ...]`,
            `["--runner=SparkRunner", ...]`; by default it runs in this process (`FnApiRunner`,
            what `DirectRunner` is too, which would fetch a program from the web first).
        fps, size, channels, kind, split, quality: As of `data_pipelines.prepare`.

    Returns:
        As of `data_pipelines.prepare`.

    Raises:
        ImportError: apache-beam is not installed; the message names the extra.
        ValueError: As of `data_pipelines.prepare`.
        OSError: The folder cannot be looked at or written to; footage cannot be read.

    Example:
        >>> prepare("s3://footage/", "s3://shards/", fps=10, size=(128, 192),
        ...         options=["--runner=FlinkRunner"])  # doctest: +SKIP
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ImportError(
            "a pipeline needs the package apache-beam: pip install "
            f"'unsupervised-video-zoo[beam]' ({error})"
        ) from error
    form = shards.Form(fps, size, channels, quality, shards.SHARD_FRAMES, shards.SHARD_BYTES)
    opened = shards.recorded(source, out, kind, split)
    units = shards.plan(opened.videos, form)
    folder = _Folder(str(out).rstrip("/"))
    index, kept = shards.finished(folder, units, form), 0
    if index is not None:
        kept = len(index.shards)
    else:
        folder.check()
        with apache_beam.Pipeline(options=PipelineOptions([_HERE, *options])) as pipeline:
            _ = (
                pipeline
                | "units" >> apache_beam.Create(units)
                | "shards" >> apache_beam.FlatMap(_made, form, folder)
                | "all shards" >> apache_beam.combiners.ToList()
                | "index" >> apache_beam.Map(_write_index, units, form, folder)
            )
        index = shards.finished(folder, units, form)
    return shards.summary(index, kept, opened)


def _made(unit, form, folder):
    """Makes and writes the shards of a unit; gives all that is known of each."""
    for shard, content, _ in shards.unit_shards(unit, form):
        folder.write(shard.name, content)
        yield shard


def _write_index(made, units, form, folder):
    """Writes the index and deletes what does not belong to it."""
    shards.check_unchanged(units, form)
    made = sorted(made, key=lambda shard: [int(n) for n in re.findall(r"\d+", shard.name)])
    # Without what is of workers that died, and of an earlier pipeline of other arguments.
    folder.keep({shard.name for shard in made})
    for name, content in shards.index_of(units, made, form).files().items():
        folder.write(name, content)


class _Folder:
    """Files of one folder, wherever Beam writes.

    Attributes:
        path: Path or address, without a slash at its end.

    Raises:
        ValueError: Beam would take the path for a pattern.
    """

    def __init__(self, path):
        if re.search(r"[*?\[]", path):
            raise ValueError(f"`out` must have none of * ? [ for a pipeline. Received: out={path}")
        self.path = path

    def read(self, name):
        """Returns the bytes of a file; `FileNotFoundError` where there is none."""
        from apache_beam.io.filesystems import FileSystems

        path = f"{self.path}/{name}"
        if not FileSystems.exists(path):
            raise FileNotFoundError(path)
        with FileSystems.open(path) as file:
            return file.read()

    def write(self, name, content):
        """Writes a file aside and renames it: it is there whole or not at all."""
        from apache_beam.io.filesystems import FileSystems

        with contextlib.suppress(OSError):  # It is there already.
            FileSystems.mkdirs(self.path)
        # A name of its own: a runner may have two workers make the same.
        aside = f"{self.path}/{name}{PART}-{uuid.uuid4().hex}"
        with FileSystems.create(aside, "application/octet-stream") as file:
            file.write(content)
        FileSystems.rename([aside], [f"{self.path}/{name}"])

    def sizes(self):
        """Returns a dict from the names of the files that are there to their bytes."""
        from apache_beam.io.filesystems import FileSystems

        (found,) = FileSystems.match([f"{self.path}/*"])
        return {
            about.path.rpartition("/")[2]: about.size_in_bytes for about in found.metadata_list
        }

    def check(self):
        """Raises `ValueError` where something is there that no pipeline has left."""
        for name in self.sizes():
            if not _OURS.match(name):
                raise shards.not_empty(self.path, name)

    def keep(self, names):
        """Deletes what pipelines have left, but for the files of these names."""
        from apache_beam.io.filesystems import FileSystems

        stale = [name for name in self.sizes() if _OURS.match(name) and name not in names]
        if stale:
            FileSystems.delete([f"{self.path}/{name}" for name in stale])
