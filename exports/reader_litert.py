"""Reads one signature of an export with LiteRT (TensorFlow Lite), for `isolated_reader`."""

import re


def open_export(folder, interface):
    """Opens an export, as `isolated_reader.reader_module` says.

    Args:
        folder: Path of a version's folder, made by `saved_model.with_default`.
        interface: Dict, the content of `interface.json`.
    """
    import tensorflow as tf

    def signature(name, clips):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        try:
            content = converter.convert()
        except Exception as error:  # Of the converter's own, a class that is not public.
            raise NotImplementedError(_lacking(str(error))) from error
        return tf.lite.Interpreter(model_content=content).get_signature_runner()

    return signature


def _lacking(message):
    lacking = set(re.findall(r"failed to legalize operation '([\w.]+)'", message))
    for names in re.findall(r"(?:TF Select|Custom) ops: (.+)", message):
        lacking |= {name.strip() for name in names.split(",")}
    if lacking := sorted(lacking):
        return f"no operation of LiteRT for {', '.join(lacking)}"
    reasons = re.findall(r"error: (?:loc\(.*\): )?(.+)", message) or [message]
    return reasons[-1].strip()[:200]
