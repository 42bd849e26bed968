"""Building and running `run_signature.c` against the TensorFlow library of the installed wheel."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import tensorflow as tf

SOURCE = Path(__file__).with_name("run_signature.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder):
    """Compiles the program and returns its path."""
    library = Path(tf.sysconfig.get_lib())
    linked = [*library.glob("libtensorflow_cc.so.*"), *library.glob("libtensorflow_framework.so.*")]
    program = Path(folder) / "run_signature"
    subprocess.run(
        [
            *(COMPILER, "-O2", "-o", program, SOURCE),
            *("-I", tf.sysconfig.get_include(), *linked, f"-Wl,-rpath,{library}"),
        ],
        check=True,
    )
    return program


def run(program, export, signature, given, *, repeats=1, folder):
    """Returns the outputs of a signature, float32 or int32 by name, and the seconds of each call."""
    definition = signature_definition(export, signature)
    arguments, read = [], {}
    for name, array in given.items():
        operation, index = definition.inputs[name].name.split(":")
        kind = {"float32": "f", "int32": "i"}[array.dtype.name]
        path = Path(folder) / f"in-{name}"
        path.write_bytes(np.ascontiguousarray(array).tobytes())
        arguments.append(",".join([operation, index, kind, str(path), *map(str, array.shape)]))
    arguments.append("--")
    for name, info in definition.outputs.items():
        operation, index = info.name.split(":")
        if info.dtype in (tf.float32.as_datatype_enum, tf.int32.as_datatype_enum):
            read[name] = Path(folder) / f"out-{name}", tf.as_dtype(info.dtype).as_numpy_dtype
            arguments.append(f"{operation},{index},{read[name][0]}")
    done = subprocess.run(
        [program, str(export), str(repeats), *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    outputs = {name: np.fromfile(path, dtype) for name, (path, dtype) in read.items()}
    return outputs, np.array([float(line) for line in done.stdout.split()])


def signature_definition(export, signature):
    """Which operations of the graph a signature's tensors are."""
    from tensorflow.core.protobuf import saved_model_pb2

    read = saved_model_pb2.SavedModel.FromString(Path(export, "saved_model.pb").read_bytes())
    return read.meta_graphs[0].signature_def[signature]
