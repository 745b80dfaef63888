"""ONNX Runtime, CPUExecutionProvider. int8: its own static quantisation of the float32 file, calibrated with the picture."""

import pathlib

import numpy
import onnxruntime as ort


def has_vnni():
    """Whether sums of u8 x s8 products cannot saturate: without it ONNX Runtime asks for weights of 7 bits."""
    return "vnni" in pathlib.Path("/proc/cpuinfo").read_text()


def quantised(model, picture):
    """Writes the model with quantised activations (uint8) and weights (int8, a scale for each channel), and returns its path."""
    from onnxruntime import quantization

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = [{"picture": picture}]

        def get_next(self):
            return self.left.pop() if self.left else None

    path = model.removesuffix(".onnx") + ".int8.onnx"
    quantization.quantize_static(
        model, path, Calibration(), quant_format=quantization.QuantFormat.QDQ, per_channel=True, reduce_range=not has_vnni(),
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)
    return path


class Peer:
    layout = "NCHW"
    precisions = ["fp32", "int8"]

    def version(self):
        return ort.__version__

    def load(self, job, picture):
        options = ort.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.force_spinning_stop", "1")  # threads spin within a run, not between runs
        model = quantised(job.model, picture) if job.precision == "int8" else job.model
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.picture = ort.OrtValue.ortvalue_from_numpy(picture)
        self.binding.bind_ortvalue_input(self.session.get_inputs()[0].name, self.picture)
        self.binding.bind_output(self.session.get_outputs()[0].name, "cpu")
        return "all graph optimisations"

    def run(self):
        self.session.run_with_iobinding(self.binding)
        return self.binding

    def answer(self, binding):
        y = binding.get_outputs()[0].numpy()[0]
        return y if y.dtype == numpy.uint8 else y.transpose(1, 2, 0)
