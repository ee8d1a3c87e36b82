"""The health of footage as text and as a page: what `zoo doctor PATH` shows."""

import base64
import io
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_pipelines import doctor
from zoo.commands.console import printable, progress
from zoo.training.whole_files import write_whole

_STYLES = {"healthy": "green", "warning": "yellow", "unsound": "red", "ignored": "dim"}
# A terminal's width where there is none: long enough that names and findings are not broken.
_WIDTH = 160
# Stretches that a line of text shows; `--json` and the page have all.
_SHOWN = 6
TEMPLATE = "footage.html.jinja"


def examine(path, *, seconds_per_file, with_pictures):
    """`data_pipelines.doctor.examine`, which says now and then how far it has come."""
    return doctor.examine(
        path, seconds_per_file=seconds_per_file, thumbnails=with_pictures, progress=progress()
    )


def as_text(report, width=None):
    """Lays a report out to be read.

    Args:
        report: `data_pipelines.doctor.Report`.
        width: Characters of a line, or None for those of the terminal, where there is one.

    Returns:
        str, coloured where standard output is a terminal.
    """
    shown = io.StringIO()
    out = Console()
    width = width or (out.width if out.is_terminal else _WIDTH)
    console = Console(
        file=shown, width=width, force_terminal=out.is_terminal, highlight=False,
        soft_wrap=not out.is_terminal,
    )  # fmt: skip
    counts = report.to_dict()["counts"]
    console.print(Text(f"{printable(report.path)}: {report.kind}, {len(report.files)} entries: "
                       + ", ".join(f"{count} {status}" for status, count in counts.items())))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("FILE", "STATUS", "CODEC", "SIZE", "FPS", "MEASURED", "FRAMES", "SECONDS"):
        table.add_column(title, justify="left" if title in ("FILE", "STATUS", "CODEC") else "right",
                         overflow="fold", no_wrap=title != "FILE")
    for file in report.files:
        row = facts(file)
        table.add_row(Text(row[0]), Text(row[1], _STYLES[file.status]), *map(Text, row[2:]))
    console.print(table)
    for file in report.files:
        if not file.findings and not file.log:
            continue
        console.print()
        console.print(Text(printable(file.name), "bold"))
        for finding in file.findings:
            line = f"  {finding.severity:8}{printable(finding.text)}{stretches(finding)}"
            console.print(Text(line, _STYLES.get(finding.severity, "")))
        for line in file.log[:_SHOWN]:
            console.print(Text(f"  decoder {printable(line)}", "dim"))
    console.print()
    console.print(Text("Training on it would be sound." if report.sound
                       else f"Training on it would be unsound, for {len(report.reasons)} reasons:"))
    for reason in report.reasons:
        console.print(Text(f"  {printable(reason)}", "red"))
    return shown.getvalue()


def write_page(path, report):
    """Writes a report as one HTML page with its pictures in it, whole.

    Args:
        path: Path of the file.
        report: `data_pipelines.doctor.Report`, made with thumbnails.

    Raises:
        OSError: It cannot be written.
        ImportError: Jinja2 is missing.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    files = [
        {
            "row": facts(file),
            "status": file.status,
            "findings": [
                (finding.severity, printable(finding.text), stretches(finding, shown=None))
                for finding in file.findings
            ],
            "log": [printable(line) for line in file.log],
            "pictures": [
                (caption, base64.b64encode(jpeg).decode()) for caption, jpeg in file.thumbnails
            ],
        }
        for file in report.files
    ]
    page = environment.get_template(TEMPLATE).render(
        path=printable(report.path), kind=report.kind, files=files, sound=report.sound,
        counts=report.to_dict()["counts"], reasons=[printable(text) for text in report.reasons],
        duplicates=[[printable(name) for name in group] for group in report.near_duplicates],
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda aside: aside.write_text(page, encoding="utf-8"))


def facts(file):
    """The row of a file: name, status, codec, size, rates, frames and length, list of str."""
    size = "" if file.height is None else f"{file.height}x{file.width}"
    return [
        printable(file.name), file.status, file.codec or file.kind, size,
        *("" if rate is None else f"{rate:.5g}" for rate in (file.declared_fps, file.measured_fps)),
        f"{file.frames}" if file.frames else "", f"{file.length_sec:.1f}" if file.frames else "",
    ]  # fmt: skip


def stretches(finding, shown=_SHOWN):
    """Where a finding is: `" at 0:03.0-0:07.5, 1:12.0"`, or nothing."""
    if not finding.stretches:
        return ""
    words = [
        clock(begin) if begin == end else f"{clock(begin)}-{clock(end)}"
        for begin, end in finding.stretches[:shown]
    ]
    return f" at {', '.join(words)}" + (", ..." if len(words) < len(finding.stretches) else "")


def clock(seconds):
    """Seconds as they are read on a player.

    Example:
        >>> clock(3725.5)
        '1:02:05.5'
    """
    tenths = round(10 * seconds)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    end = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{end}" if hours else f"{minutes}:{end}"
