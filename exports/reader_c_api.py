"""Reads an export through TensorFlow's C API, the way a C++ server does, for `isolated_reader`.

Nothing of TensorFlow's Python is imported: its shared library is loaded and the session is made by
`TF_LoadSessionFromSavedModel`. Which tensors a signature takes and gives `interface.json` says.
"""

import ctypes
import importlib.metadata

LIBRARIES = ("tensorflow/libtensorflow_framework.so.2", "tensorflow/libtensorflow_cc.so.2")

# `TF_DataType` of tensorflow/c/tf_datatype.h, by the names of NumPy and ml_dtypes.
DTYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "object": 7, "int64": 9, "bool": 10,
    "bfloat16": 14, "float16": 19,
}  # fmt: skip
_NAMES = {number: name for name, number in DTYPES.items()}
_STRING_BYTES = 24  # of a TF_TString


class _Output(ctypes.Structure):
    """`TF_Output` of tensorflow/c/c_api.h."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def open_export(folder, interface):
    """Opens an export, as `isolated_reader.reader_module` says.

    Args:
        folder: Path of the version's folder.
        interface: Dict, the content of `interface.json`.

    Raises:
        RuntimeError: If the library says so, with its words.
    """
    import ml_dtypes  # noqa: F401  NumPy knows bfloat16 by it.

    session = _Session(str(folder))

    def signature(name, clips):
        tensors = interface["tensors"][name]
        return lambda **inputs: session.run(tensors, inputs)

    return signature


class _Session:
    def __init__(self, folder):
        self._library = library = _library()
        self._status = library.TF_NewStatus()
        self._graph = library.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = library.TF_LoadSessionFromSavedModel(
            library.TF_NewSessionOptions(), None, folder.encode(), tags, 1, self._graph, None,
            self._status,
        )  # fmt: skip
        self._check()

    def run(self, tensors, inputs):
        """Runs a signature.

        Args:
            tensors: Dict of `inputs` and `outputs`, each from names to names in the graph.
            inputs: Dict from names to arrays; strings are arrays of bytes objects.

        Returns:
            Dict from names to arrays.
        """
        outputs = list(tensors["outputs"])
        fed = (_Output * len(inputs))(*(self._place(tensors["inputs"][name]) for name in inputs))
        values = (ctypes.c_void_p * len(inputs))(*map(self._tensor, inputs.values()))
        asked = (_Output * len(outputs))(*(self._place(tensors["outputs"][o]) for o in outputs))
        answers = (ctypes.c_void_p * len(outputs))()
        try:
            self._library.TF_SessionRun(
                self._session, None, fed, values, len(inputs), asked, answers, len(outputs),
                None, 0, None, self._status,
            )  # fmt: skip
            self._check()
            return dict(zip(outputs, map(self._array, answers), strict=True))
        finally:
            for tensor in [*values, *filter(None, answers)]:
                self._library.TF_DeleteTensor(tensor)

    def _place(self, name):
        operation, _, index = name.partition(":")
        found = self._library.TF_GraphOperationByName(self._graph, operation.encode())
        if not found:
            raise RuntimeError(f"the graph has no operation {operation}")
        return _Output(found, int(index))

    def _tensor(self, array):
        import numpy as np

        array = np.ascontiguousarray(array)
        is_text = array.dtype.name == "object"
        size = _STRING_BYTES * array.size if is_text else array.nbytes
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._library.TF_AllocateTensor(DTYPES[array.dtype.name], shape, array.ndim, size)
        place = self._library.TF_TensorData(tensor)
        if not is_text:
            ctypes.memmove(place, array.ctypes.data, size)
            return tensor
        for number, text in enumerate(array.flat):
            at = place + number * _STRING_BYTES
            self._library.TF_StringInit(at)
            self._library.TF_StringCopy(at, text, len(text))
        return tensor

    def _array(self, tensor):
        import numpy as np

        library = self._library
        shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
        name = _NAMES[library.TF_TensorType(tensor)]
        place, size = library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor)
        if name != "object":
            return np.frombuffer(ctypes.string_at(place, size), name).reshape(shape)
        texts = np.empty(size // _STRING_BYTES, object)
        for number in range(len(texts)):
            at = place + number * _STRING_BYTES
            begin, length = library.TF_StringGetDataPointer(at), library.TF_StringGetSize(at)
            texts[number] = ctypes.string_at(begin, length)
        return texts.reshape(shape)

    def _check(self):
        if self._library.TF_GetCode(self._status):
            message = self._library.TF_Message(self._status).decode(errors="replace")
            raise RuntimeError(message)


def _library():
    """Loads TensorFlow's library, and says which functions take and give pointers."""
    about = importlib.metadata.distribution("tensorflow")
    for name in LIBRARIES:
        library = ctypes.CDLL(str(about.locate_file(name)), ctypes.RTLD_GLOBAL)
    pointer, number, many = ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p)
    text, outputs, size = ctypes.c_char_p, ctypes.POINTER(_Output), ctypes.c_size_t
    for name, result, arguments in (
        ("TF_NewStatus", pointer, []),
        ("TF_GetCode", number, [pointer]),
        ("TF_Message", text, [pointer]),
        ("TF_NewGraph", pointer, []),
        ("TF_NewSessionOptions", pointer, []),
        ("TF_LoadSessionFromSavedModel", pointer,
         [pointer, pointer, text, ctypes.POINTER(text), number, pointer, pointer, pointer]),
        ("TF_GraphOperationByName", pointer, [pointer, text]),
        ("TF_AllocateTensor", pointer, [number, ctypes.POINTER(ctypes.c_int64), number, size]),
        ("TF_DeleteTensor", None, [pointer]),
        ("TF_TensorData", pointer, [pointer]),
        ("TF_TensorType", number, [pointer]),
        ("TF_NumDims", number, [pointer]),
        ("TF_Dim", ctypes.c_int64, [pointer, number]),
        ("TF_TensorByteSize", size, [pointer]),
        ("TF_StringInit", None, [pointer]),
        ("TF_StringCopy", None, [pointer, text, size]),
        ("TF_StringGetDataPointer", pointer, [pointer]),
        ("TF_StringGetSize", size, [pointer]),
        ("TF_SessionRun", None,
         [pointer, pointer, outputs, many, number, outputs, many, number, pointer, number,
          pointer, pointer]),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
