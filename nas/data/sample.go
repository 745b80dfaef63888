package data

// Ignore is the label of pixels that neither train nor count: unlabelled ones and padding.
const Ignore = 255

// Sample is one picture with its labels.
type Sample struct {
	Image []byte // H*W*3, rows of interleaved R,G,B
	Label []byte // H*W, class index or Ignore
	H, W  int    // size in pixels
	Name  string // unique within its dataset, free of folder and suffix
}

// Dataset is an ordered set of labelled pictures.
type Dataset interface {
	// Name says what the pictures are, for plans and reports.
	Name() string
	// Classes names the labels; every label of every sample is an index into it, or Ignore.
	Classes() Classes
	// Len is the number of samples.
	Len() int
	// Read returns sample i, 0 <= i < Len. Samples may be shared between callers and must not be modified. Read is safe for
	// concurrent use.
	Read(i int) (*Sample, error)
}

// Splits is the protocol of a search: the supernet trains on Train, the search validates its candidates on SearchVal, the
// winner trains again on TrainAll (Train, then SearchVal), and Val is only ever reported on. Test, nil in most data sets, is pictures
// whose labels only a benchmark's server knows: every label of them is Ignore.
type Splits struct {
	Train, SearchVal, TrainAll, Val Dataset
	Test                            Dataset
}

// Bytes is what the sample takes in memory.
func (s *Sample) Bytes() int64 { return int64(cap(s.Image)+cap(s.Label)) + sampleOverhead }

// labelReader is a dataset that can read a sample's labels without its picture, in a fraction of the time.
type labelReader interface {
	readLabels(i int) (label []byte, h, w int, err error)
}

// namer is a dataset that knows its samples' names without reading them.
type namer interface {
	sampleName(i int) (string, error)
}

// SampleName is the Name of sample i, read from no picture where the dataset knows it otherwise.
func SampleName(ds Dataset, i int) (string, error) {
	if n, ok := ds.(namer); ok {
		return n.sampleName(i)
	}
	s, err := ds.Read(i)
	if err != nil {
		return "", err
	}
	return s.Name, nil
}

// Labels reads the labels alone of sample i, h rows of w, which must not be modified.
func Labels(ds Dataset, i int) (label []byte, h, w int, err error) {
	if r, ok := ds.(labelReader); ok {
		return r.readLabels(i)
	}
	s, err := ds.Read(i)
	if err != nil {
		return nil, 0, 0, err
	}
	return s.Label, s.H, s.W, nil
}

// concat is the datasets one after the other, under the name and classes of the first.
type concat []Dataset

func (c concat) Name() string     { return c[0].Name() }
func (c concat) Classes() Classes { return c[0].Classes() }

func (c concat) Len() int {
	n := 0
	for _, d := range c {
		n += d.Len()
	}
	return n
}

// part is the dataset that holds sample i, and the sample's index in it.
func (c concat) part(i int) (Dataset, int) {
	last := len(c) - 1
	for _, d := range c[:last] {
		if i < d.Len() {
			return d, i
		}
		i -= d.Len()
	}
	return c[last], i
}

func (c concat) Read(i int) (*Sample, error) {
	d, k := c.part(i)
	return d.Read(k)
}

func (c concat) sampleName(i int) (string, error) {
	d, k := c.part(i)
	return SampleName(d, k)
}

func (c concat) readLabels(i int) (label []byte, h, w int, err error) {
	d, k := c.part(i)
	return Labels(d, k)
}

// section is samples [from, to) of a dataset.
type section struct {
	Dataset
	from, to int
}

func (s section) Len() int                    { return s.to - s.from }
func (s section) Read(i int) (*Sample, error) { return s.Dataset.Read(s.from + i) }

func (s section) sampleName(i int) (string, error) { return SampleName(s.Dataset, s.from+i) }

func (s section) readLabels(i int) (label []byte, h, w int, err error) {
	return Labels(s.Dataset, s.from+i)
}
