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
// winner trains again on TrainAll (Train and SearchVal together), and Val is only ever reported on.
type Splits struct {
	Train, SearchVal, TrainAll, Val Dataset
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

func (c concat) Read(i int) (*Sample, error) {
	last := len(c) - 1
	for _, d := range c[:last] {
		if i < d.Len() {
			return d.Read(i)
		}
		i -= d.Len()
	}
	return c[last].Read(i)
}

// section is samples [from, to) of a dataset.
type section struct {
	Dataset
	from, to int
}

func (s section) Len() int                    { return s.to - s.from }
func (s section) Read(i int) (*Sample, error) { return s.Dataset.Read(s.from + i) }
