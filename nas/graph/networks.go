package graph

import (
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// networks are the known networks by name. To add one: a function, and a line here.
var networks = []struct {
	name  string
	build func(name string, classes int) Network
}{
	{"mobilenetv2-deeplab", mobileNetV2DeepLab},
	{"fast-scnn", fastSCNN},
	{"redesign-no-detail", redesignNoDetail},
}

// Names lists the known networks.
func Names() []string {
	var names []string
	for _, n := range networks {
		names = append(names, n.name)
	}
	return names
}

// Named returns a known network for so many classes. An unknown name, or a number of classes that no network has, is misuse.
func Named(name string, classes int) (Network, error) {
	if err := space.DefaultNetwork(classes).Validate(); err != nil {
		return Network{}, err
	}
	for _, n := range networks {
		if n.name == name {
			return n.build(name, classes), nil
		}
	}
	return Network{}, misuse.Errorf("network %.40q is not known; there are %s", name, strings.Join(Names(), ", "))
}

// mobileNetV2DeepLab is MobileNetV2 of width 1.0 (Sandler et al. 2018, table 2, without the last convolution) at output stride 16, as DeepLab runs it: the
// stage that would halve the size a fifth time keeps it, and what follows its first block is dilated by 2 instead. Head as in that paper's section 6.3,
// DeepLabv3 without atrous pyramid: a 1x1 convolution beside the mean of the whole picture, joined (Chen et al. 2017, section 3.3). ReLU stands for ReLU6
// throughout: it is what the library has.
func mobileNetV2DeepLab(name string, classes int) Network {
	b := newBuilder(name, classes)
	x := b.conv3x3("stem.conv", Picture, 32, 2)
	x = b.stage(1, x, 1, 16, 1, 1)
	x = b.stage(2, x, 6, 24, 2, 2)
	x = b.stage(3, x, 6, 32, 3, 2)
	x = b.stage(4, x, 6, 64, 4, 2)
	x = b.stage(5, x, 6, 96, 3, 1)
	x = b.stage(6, x, 6, 160, 3, 1, 1, 2, 2)
	x = b.stage(7, x, 6, 320, 1, 1, 2)
	const width = 256
	whole := b.upsample(b.pointwise("head.picture", b.pool(x, 1), width, true), x)
	joined := b.concat(b.pointwise("head.pixel", x, width, true), whole)
	b.Logits = b.classifier("head.classifier", b.pointwise("head.join", joined, width, true))
	b.Published = Published{MACs: 21.27e9, Params: 2.11e6, Source: "Sandler et al. 2018, table 7 (parameters); DeepLab's model list for Cityscapes (multiply-adds)"}
	return b.Network
}

// fastSCNN is Fast-SCNN (Poudel et al. 2019, tables 1 to 3): learning to downsample, bottlenecks, pyramid pooling (Zhao et al. 2017), the fusion of both
// resolutions with a dilated depthwise layer, and the classifier. As there, depthwise-separable convolutions have no ReLU between their two layers; the
// auxiliary heads stand after the learning to downsample and after the pyramid. Dropout before the classifier is left out.
func fastSCNN(name string, classes int) Network {
	const width, rate = 128, 4 // the fusion's dilation is the ratio of the two resolutions
	b := newBuilder(name, classes)
	x := b.conv3x3("down.conv", Picture, 32, 2)
	x = b.sep("down.sep1", x, 48, 2, false)
	fine := b.sep("down.sep2", x, 64, 2, false)
	b.aux("aux.down", fine)
	x = b.stage(1, fine, 6, 64, 3, 2)
	x = b.stage(2, x, 6, 96, 3, 2)
	x = b.stage(3, x, 6, width, 3, 1)
	pyramid := []Value{x}
	for _, level := range []struct {
		name string
		bins int
	}{{"pyramid.1", 1}, {"pyramid.2", 2}, {"pyramid.3", 3}, {"pyramid.6", 6}} {
		pyramid = append(pyramid, b.upsample(b.pointwise(level.name, b.pool(x, level.bins), width/4, true), x))
	}
	x = b.pointwise("pyramid.join", b.concat(pyramid...), width, true)
	b.aux("aux.pyramid", x)
	coarse := b.depthwise("fuse.depthwise", b.upsample(x, fine), 1, rate, true)
	coarse = b.pointwise("fuse.coarse", coarse, width, false)
	x = b.sum(coarse, b.pointwise("fuse.fine", fine, width, false), true)
	x = b.sep("head.sep1", x, width, 1, false)
	x = b.sep("head.sep2", x, width, 1, false)
	b.Logits = b.classifier("head.classifier", x)
	b.Published = Published{Params: 1.11e6, Source: "Poudel et al. 2019, section 4"}
	return b.Network
}

// redesignNoDetail is the hand-made baseline without its detail branch: the context branch, upsampled, goes straight into the head. The method's own
// ablation, which shows what the branch is worth.
func redesignNoDetail(name string, classes int) Network {
	net, arch := space.DefaultNetwork(classes), space.Baseline()
	b := newBuilder(name, classes)
	x := b.conv3x3("stem.conv", Picture, 32, 2)
	x = b.sep("stem.sep1", x, 48, 2, true)
	stem := b.sep("stem.sep2", x, space.StemChannels, 2, true)
	b.aux("aux.stem", stem)
	x = stem
	for s, depth := range arch.Depth {
		x = b.stage(s+1, x, int(arch.Blocks[s][0].Expand), net.Widths[s], int(depth), net.Strides[s])
	}
	x = b.upsample(x, stem)
	b.aux("aux.fuse", x)
	width := net.Widths[space.Stages-1]
	x = b.sep("head.sep1", x, width, 1, true)
	x = b.sep("head.sep2", x, width, 1, true)
	b.Logits = b.classifier("head.classifier", x)
	return b.Network
}
