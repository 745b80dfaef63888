package data

import "fmt"

// Classes names the classes of a dataset. Class c is Names[c], drawn in Colors[c] (R, G, B).
type Classes struct {
	Names  []string
	Colors [][3]byte
	// Values holds, for each class, the value that stands for it in label pictures. Nil means the class index itself.
	Values []byte
}

// Len is the number of classes.
func (c Classes) Len() int { return len(c.Names) }

// Value is what stands for the class in label pictures.
func (c Classes) Value(class int) byte {
	if c.Values == nil {
		return byte(class)
	}
	return c.Values[class]
}

// CityscapesClasses are the 19 training classes of Cityscapes (Cordts et al., "The Cityscapes dataset for semantic urban
// scene understanding", CVPR 2016) in the order of their training ids, in the colours of that data set.
func CityscapesClasses() Classes {
	return Classes{
		Names: []string{"road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
			"terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"},
		Colors: [][3]byte{{128, 64, 128}, {244, 35, 232}, {70, 70, 70}, {102, 102, 156}, {190, 153, 153}, {153, 153, 153},
			{250, 170, 30}, {220, 220, 0}, {107, 142, 35}, {152, 251, 152}, {70, 130, 180}, {220, 20, 60}, {255, 0, 0},
			{0, 0, 142}, {0, 0, 70}, {0, 60, 100}, {0, 80, 100}, {0, 0, 230}, {119, 11, 32}},
	}
}

// CamVidClasses are the 11 classes of the SegNet edition of CamVid, in the colours usual for it.
func CamVidClasses() Classes {
	return Classes{
		Names: []string{"sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"},
		Colors: [][3]byte{{128, 128, 128}, {128, 0, 0}, {192, 192, 128}, {128, 64, 128}, {60, 40, 222}, {128, 128, 0},
			{192, 128, 128}, {64, 64, 128}, {64, 0, 128}, {64, 64, 0}, {0, 128, 192}},
	}
}

// allowed says in words which label values a class list knows, for error messages: "0-10, 255".
func allowed(known *[256]bool) string {
	text := ""
	for v := 0; v < 256; v++ {
		if !known[v] {
			continue
		}
		end := v
		for end < 255 && known[end+1] {
			end++
		}
		if text != "" {
			text += ", "
		}
		if end == v {
			text += fmt.Sprint(v)
		} else {
			text += fmt.Sprintf("%d-%d", v, end)
		}
		v = end
	}
	return text
}
