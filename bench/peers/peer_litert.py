"""LiteRT (formerly TensorFlow Lite) with XNNPACK, which it uses by itself. Its flatbuffer is written from the graph."""

import importlib.metadata

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from graph import Graph

VERSION = 3  # of the schema
IDENTIFIER = b"TFL3"
TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "uint8": schema.TensorType.UINT8}


class Writer:
    """A model of one graph. Values are [1, height, width, channels]."""

    def __init__(self, graph):
        self.tensors, self.operators, self.codes = [], [], []
        self.buffers = [schema.BufferT()]  # number 0 is that of values without constants
        self.shapes, self.values = graph.shapes, {}
        self.values[graph.input] = self.tensor(graph.input, self.nhwc(graph.input))
        for step in graph.steps:
            getattr(self, step.kind.lower())(step)
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [self.values[graph.input]], [self.values[graph.output]]
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = VERSION, self.codes, [subgraph], self.buffers
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        self.bytes = bytes(builder.Output())

    def nhwc(self, name):
        channels, height, width = self.shapes[name]
        return [1, height, width, channels]

    def tensor(self, name, shape, type="float32"):
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name, [int(n) for n in shape], TYPES[type], 0
        self.tensors.append(t)
        return len(self.tensors) - 1

    def constant(self, name, values):
        index = self.tensor(name, values.shape, str(values.dtype))
        buffer = schema.BufferT()
        buffer.data = numpy.frombuffer(values.tobytes(), numpy.uint8)
        self.buffers.append(buffer)
        self.tensors[index].buffer = len(self.buffers) - 1
        return index

    def operator(self, name, version, inputs, output, options=None):
        """Adds an operator; options are of the type that belongs to it, or None."""
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = getattr(schema.BuiltinOperator, name), version
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        op = schema.OperatorT()
        self.codes.append(code)
        op.opcodeIndex, op.inputs, op.outputs = len(self.codes) - 1, inputs, [output]
        if options is not None:
            op.builtinOptions = options
            op.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operators.append(op)

    def result(self, step, type="float32", shape=None):
        self.values[step.output] = self.tensor(step.output, shape or self.nhwc(step.output), type)
        return self.values[step.output]

    def conv(self, step):
        x = self.values[step.inputs[0]]
        depthwise = step.group > 1
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH = options.strideW = step.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU if step.relu else schema.ActivationFunctionType.NONE
        options.padding = schema.Padding.SAME
        if step.stride > 1:  # SAME would put the odd row and column at the end
            shape = self.nhwc(step.inputs[0])
            pads = numpy.array([[0, 0], [step.pad] * 2, [step.pad] * 2, [0, 0]], numpy.int32)
            padded = self.tensor(step.output + ".pad", [1, shape[1] + 2 * step.pad, shape[2] + 2 * step.pad, shape[3]])
            self.operator("PAD", 1, [x, self.constant(step.output + ".pads", pads)], padded, schema.PadOptionsT())
            x, options.padding = padded, schema.Padding.VALID
        if depthwise:
            options.depthMultiplier = 1
            weight = step.weight.transpose(1, 2, 3, 0)
        else:
            weight = step.weight.transpose(0, 2, 3, 1)
        inputs = [x, self.constant(step.output + ".weight", numpy.ascontiguousarray(weight)), self.constant(step.output + ".bias", step.bias)]
        self.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", 1, inputs, self.result(step), options)

    def add(self, step):
        self.operator("ADD", 1, [self.values[name] for name in step.inputs], self.result(step), schema.AddOptionsT())

    def relu(self, step):
        self.operator("RELU", 1, [self.values[step.inputs[0]]], self.result(step))

    def resize(self, step):
        options = schema.ResizeBilinearOptionsT()
        options.halfPixelCenters = True
        size = self.constant(step.output + ".size", numpy.array([step.height, step.width], numpy.int32))
        self.operator("RESIZE_BILINEAR", 3, [self.values[step.inputs[0]], size], self.result(step), options)

    def argmax(self, step):
        options = schema.ArgMaxOptionsT()
        options.outputType = schema.TensorType.INT32
        axis = self.constant(step.output + ".axis", numpy.array(3, numpy.int32))
        shape = self.nhwc(step.output)[:3]
        self.operator("ARG_MAX", 1, [self.values[step.inputs[0]], axis], self.result(step, "int32", shape), options)

    def cast(self, step):
        options = schema.CastOptionsT()
        options.inDataType, options.outDataType = schema.TensorType.INT32, schema.TensorType.UINT8
        self.operator("CAST", 1, [self.values[step.inputs[0]]], self.result(step, "uint8", self.nhwc(step.output)[:3]), options)


class Peer:
    layout = "NHWC"
    precisions = ["fp32"]

    def version(self):
        return importlib.metadata.version("ai-edge-litert")

    def load(self, job, picture):
        self.interpreter = Interpreter(model_content=Writer(Graph(job.model)).bytes, num_threads=job.threads)
        self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], picture)  # stays there over all runs
        self.output = self.interpreter.get_output_details()[0]["index"]
        return "XNNPACK"

    def run(self):
        self.interpreter.invoke()

    def answer(self, _):
        return self.interpreter.get_tensor(self.output)[0]
