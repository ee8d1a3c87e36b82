"""Reads one signature of an export with OpenVINO, for `isolated_reader`."""


def open_export(folder, interface):
    """Opens an export, as `isolated_reader.reader_module` says.

    Args:
        folder: Path of a version's folder, made by `saved_model.with_default`: OpenVINO reads the
            default signature alone.
        interface: Dict, the content of `interface.json`.
    """
    import openvino

    def signature(name, clips):
        try:
            model = openvino.convert_model(str(folder))
        except openvino.frontend.OpConversionFailure as error:
            raise NotImplementedError(_lacking(str(error))) from error
        compiled = openvino.Core().compile_model(model, "CPU")
        # An output of the name of an input is called NAME_1.
        named = {
            key: output
            for output in compiled.outputs
            for key in interface["tensors"][name]["outputs"]
            if {key, f"{key}_1"} & output.names
        }

        def call(**inputs):
            answer = compiled(inputs)
            return {key: answer[output].copy() for key, output in named.items()}

        return call

    return signature


def _lacking(message):
    found = [line for line in message.splitlines() if "No conversion rule found" in line]
    return found[0].strip("- ") if found else message.partition("\n")[0]
