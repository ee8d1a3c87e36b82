"""What was found out about footage, file by file, and whether training on it would be unsound."""

import dataclasses

from data_pipelines.doctor_findings import NOTE, UNSOUND, WARNING

_STATUS = ("healthy", NOTE, WARNING, UNSOUND)


@dataclasses.dataclass
class FileReport:
    """What was found out about one video, or about a file that is none.

    Attributes:
        name: Name in the source, or of the file below the folder.
        kind: As of `doctor_files.Item`.
        status: `"healthy"`, also with notes; `"warning"`; `"unsound"`; `"ignored"` for a file that
            no source would read.
        split: `"train"`, `"test"` or None.
        files: How many files it is kept in.
        codec, declared_fps, declared_frames, declared_sec, height, width: What the container says;
            None where nothing tells.
        measured_fps: Frames per second by the times of the frames, outside of gaps.
        frames: Frames that were read.
        length_sec: Time from the first to the end of the last of these.
        lost, damaged: Packets (or images) that could not be decoded; frames given with damage.
        whole: Whether all of it was looked at, not only what the limit of time let.
        log: Lines that the decoder reported, the same ones once, with how often.
        findings: List of `doctor_findings.Finding`.
        thumbnails: List of `(caption, JPEG bytes)`.
    """

    name: str
    kind: str
    status: str = "healthy"
    split: str | None = None
    files: int = 1
    codec: str | None = None
    declared_fps: float | None = None
    declared_frames: int | None = None
    declared_sec: float | None = None
    height: int | None = None
    width: int | None = None
    measured_fps: float | None = None
    frames: int = 0
    length_sec: float = 0.0
    lost: int = 0
    damaged: int = 0
    whole: bool = True
    log: list = dataclasses.field(default_factory=list)
    findings: list = dataclasses.field(default_factory=list)
    thumbnails: list = dataclasses.field(default_factory=list)

    def fills_its_time(self):
        """Whether the frames reach to the end of the declared time, however many they are."""
        # Of frames at the declared rate: FFmpeg shortens the length of a file that was cut off.
        declared, fps = self.declared_frames, self.declared_fps
        return bool(declared and fps) and self.length_sec >= 0.98 * declared / fps

    def to_dict(self):
        """All but the thumbnails, in values that JSON has words for."""
        found = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self) if field.name not in ("findings", "thumbnails")
        }  # fmt: skip
        return {**found, "findings": [dataclasses.asdict(finding) for finding in self.findings]}


@dataclasses.dataclass
class Report:
    """What was found out about footage.

    Attributes:
        path: str.
        kind: Layout, one of `data_pipelines.KINDS`.
        files: List of `FileReport`, in natural order of their names.
        near_duplicates: List of lists of names that show the same; `data_pipelines.split` takes it.
        leaks: Those of them that lie on both sides of the split.
        reasons: List of str, why training on it would be unsound; empty where it would not.
    """

    path: str
    kind: str
    files: list
    near_duplicates: list
    leaks: list
    reasons: list

    @property
    def sound(self):
        return not self.reasons

    def to_dict(self):
        """In values that JSON has words for."""
        counts = {status: 0 for status in ("healthy", WARNING, UNSOUND, "ignored")}
        for file in self.files:
            counts[file.status] += 1
        return {
            "path": self.path, "kind": self.kind, "sound": self.sound, "reasons": self.reasons,
            "counts": counts, "near_duplicates": self.near_duplicates, "leaks": self.leaks,
            "files": [file.to_dict() for file in self.files],
        }  # fmt: skip


def status_of(file):
    """The status of a `FileReport` by its kind and findings, str."""
    if file.kind.startswith("other") and not file.findings:
        return "ignored"
    severity = max((_STATUS.index(finding.severity) for finding in file.findings), default=0)
    return "healthy" if _STATUS[severity] == NOTE else _STATUS[severity]


def reasons_of(files, leaks):
    """Why training would be unsound, list of str.

    Args:
        files: List of `FileReport`.
        leaks: Lists of names of videos that show the same and lie on both sides of the split.
    """
    reasons = [
        f"{file.name}: {finding.text}"
        for file in files for finding in file.findings
        if finding.severity == UNSOUND and finding.kind != "near-duplicate"
    ]  # fmt: skip
    reasons += [f"training and test show the same: {', '.join(group)}" for group in leaks]
    if not any(file.frames for file in files if file.kind in ("video", "images", "strip")):
        reasons.append("there is no video that can be read")
    return reasons
