"""Stands in for `data_pipelines/decode_worker.py`: the same, but dies of files that say so.

    workers._PROGRAM = pathlib.Path("benchmarks/dying_decoder.py")

No file is known that ends the decoders of today on demand; yet there always was one. So the
process that decodes ends itself by abort(), as a decoder in C does, after ten frames of a file that
ends with `ABORT`, and sleeps for ever after ten frames of one that ends with `HANG`.
"""

import importlib.util
import os
import pathlib
import sys
import time

ABORT, HANG = b"this file aborts its decoder", b"this file hangs its decoder"
FRAMES = 10

_WORKER = pathlib.Path(__file__).parents[1] / "data_pipelines" / "decode_worker.py"


def main():
    spec = importlib.util.spec_from_file_location("decode_worker", _WORKER)
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    worker.decode = dying(worker.decode)
    worker.main()


def dying(decode):
    """As `decode`, until the file says that it is over."""

    def given(path, **request):
        with open(path, "rb") as file:
            end = file.read()[-max(len(ABORT), len(HANG)) :]
        for number, item in enumerate(decode(path, **request)):
            if number == FRAMES and end.endswith(ABORT):
                sys.stderr.write("this decoder was made to abort\n")
                sys.stderr.flush()
                os.abort()
            while number == FRAMES and end.endswith(HANG):
                time.sleep(1)
            yield item

    return given


if __name__ == "__main__":
    main()
