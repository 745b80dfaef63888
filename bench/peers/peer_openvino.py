"""OpenVINO, CPU plug-in, latency mode. int8: the network in integers as it is; what is not in integers stays float32."""

import numpy
import openvino


class Peer:
    layout = "NCHW"
    precisions = ["fp32", "bf16", "int8"]

    def version(self):
        return openvino.__version__.split("-")[0]

    def load(self, job, picture):
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(job.model), "CPU", {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(job.threads),
            "INFERENCE_PRECISION_HINT": "bf16" if job.precision == "bf16" else "f32",
        })
        self.request = compiled.create_infer_request()
        self.picture = picture
        self.request.set_input_tensor(openvino.Tensor(self.picture, shared_memory=True))
        return "latency hint, precision " + str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())

    def run(self):
        self.request.infer()
        return self.request

    def answer(self, request):
        y = request.get_output_tensor().data[0].copy()
        return y if y.dtype == numpy.uint8 else y.transpose(1, 2, 0)
