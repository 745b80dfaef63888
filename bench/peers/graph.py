"""The network out of its ONNX file, as plain steps, for peers that cannot read ONNX themselves."""

import onnx
from onnx import numpy_helper


class Step:
    """One operation: kind, names of its inputs and its output, and what its kind needs.

    Conv: weight [out, in/group, k, k], bias, kernel, stride, pad, group, relu. Add, Relu. Resize: height, width (bilinear, half-pixel
    centres). ArgMax: over channels. Cast: to uint8.
    """

    def __init__(self, kind, inputs, output, **settings):
        self.kind, self.inputs, self.output = kind, inputs, output
        self.name = output.replace(".", "_")
        self.__dict__.update(settings)


class Graph:
    def __init__(self, path):
        graph = onnx.load(path).graph
        constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.input = graph.input[0].name
        self.output = graph.output[0].name
        self.shapes = {}  # of each value: [channels, height, width]
        shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
        self.shapes[self.input] = shape[1:]
        self.steps = [self._step(node, constants) for node in graph.node]
        self._fold_relu()
        self.logits = next((s.inputs[0] for s in reversed(self.steps) if s.kind == "Resize" and self.labelled()), self.output)

    def labelled(self):
        return any(step.kind == "ArgMax" for step in self.steps)

    def _step(self, node, constants):
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = [name for name in node.input if name and name not in constants]
        channels, height, width = self.shapes[inputs[0]]
        step = Step(node.op_type, inputs, node.output[0])
        if node.op_type == "Conv":
            step.weight, step.bias = constants[node.input[1]], constants[node.input[2]]
            step.kernel, step.stride, step.pad = settings["kernel_shape"][0], settings["strides"][0], settings["pads"][0]
            step.group, step.relu = settings["group"], False
            size = lambda n: (n + 2 * step.pad - step.kernel) // step.stride + 1
            channels, height, width = step.weight.shape[0], size(height), size(width)
        elif node.op_type == "Resize":
            if settings["mode"] != b"linear" or settings["coordinate_transformation_mode"] != b"half_pixel":
                raise ValueError(f"{node.name} resizes in a way that this does not know")
            height, width = (int(n) for n in constants[node.input[3]][2:])
            step.height, step.width = height, width
        elif node.op_type == "ArgMax":
            channels = 1
        elif node.op_type not in ("Add", "Relu", "Cast"):
            raise ValueError(f"{node.name} is of a kind that this does not know: {node.op_type}")
        self.shapes[step.output] = [channels, height, width]
        return step

    def _fold_relu(self):
        """Joins a Relu with the convolution before it, which nobody else reads."""
        maker = {s.output: s for s in self.steps}
        for relu in [s for s in self.steps if s.kind == "Relu"]:
            conv = maker[relu.inputs[0]]
            if conv.kind == "Conv" and sum(conv.output in s.inputs for s in self.steps) == 1:
                conv.relu, conv.output = True, relu.output
                self.steps.remove(relu)
