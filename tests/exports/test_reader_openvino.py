"""What OpenVINO says it lacks, as one line."""

from exports import isolated_reader

SAID = """Check 'false' failed at src/frontends/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted.
Summary:
-- No conversion rule found for operations: DecodeJpeg
To facilitate the conversion of unsupported operations, refer to Frontend Extension documentation
"""


def test_the_operations_without_a_rule_are_named():
    lacking = isolated_reader.reader_module("openvino")._lacking
    assert lacking(SAID) == "No conversion rule found for operations: DecodeJpeg"
    assert lacking("Other words\nand more") == "Other words"
