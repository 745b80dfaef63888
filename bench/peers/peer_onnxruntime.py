"""ONNX Runtime, CPUExecutionProvider. int8: the network in integers as it is. int8-own: its own static quantisation of the float32 network, calibrated
with the picture. That rounds a block's result before the shortcut is added, too, so that all products are of bytes, which is faster and another network."""

import pathlib

import numpy
import onnxruntime as ort


def has_vnni():
    """Whether sums of u8 x s8 products cannot saturate: without it ONNX Runtime asks for weights of 7 bits, or for sums of products that it makes u8 x u8."""
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
    precisions = ["fp32", "int8", "int8-own"]

    def version(self):
        return ort.__version__

    def load(self, job, picture):
        options = ort.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_DISABLE_ALL if job.node_by_node else level.ORT_ENABLE_ALL
        options.add_session_config_entry("session.force_spinning_stop", "1")  # threads spin within a run, not between runs
        if job.precision == "int8" and not has_vnni():
            options.add_session_config_entry("session.x64quantprecision", "1")
        model = quantised(job.model, picture) if job.precision == "int8-own" else job.model
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.picture = ort.OrtValue.ortvalue_from_numpy(picture)
        self.binding.bind_ortvalue_input(self.session.get_inputs()[0].name, self.picture)
        self.binding.bind_output(self.session.get_outputs()[0].name, "cpu")
        return "node by node" if job.node_by_node else "all graph optimisations"

    def run(self):
        self.session.run_with_iobinding(self.binding)
        return self.binding

    def answer(self, binding):
        y = binding.get_outputs()[0].numpy()[0]
        return y if y.dtype == numpy.uint8 else y.transpose(1, 2, 0)
