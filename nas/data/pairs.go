package data

import "github.com/segnas/segnas/nas/misuse"

// pair is the files of one sample; without a label picture every pixel is ignored.
type pair struct{ name, picture, label string }

// pairs is a dataset of picture files and label files.
type pairs struct {
	name    string
	classes Classes
	table   *labelTable
	items   []pair
}

func (p *pairs) Name() string     { return p.name }
func (p *pairs) Classes() Classes { return p.classes }
func (p *pairs) Len() int         { return len(p.items) }

func (p *pairs) Read(i int) (*Sample, error) {
	it := p.items[i]
	image, h, w, err := ReadPicture(it.picture)
	if err != nil {
		return nil, err
	}
	if it.label == "" {
		label := make([]byte, h*w)
		fill(label, Ignore)
		return &Sample{Image: image, Label: label, H: h, W: w, Name: it.name}, nil
	}
	label, lh, lw, err := readLabels(it.label, p.table)
	if err != nil {
		return nil, err
	}
	if lh != h || lw != w {
		return nil, misuse.Errorf("%s has %d rows of %d pixels, its label picture %s has %d of %d: they must have the same size",
			it.picture, h, w, it.label, lh, lw)
	}
	return &Sample{Image: image, Label: label, H: h, W: w, Name: it.name}, nil
}

func (p *pairs) sampleName(i int) (string, error) { return p.items[i].name, nil }

func (p *pairs) readLabels(i int) (label []byte, h, w int, err error) {
	if p.items[i].label == "" {
		s, err := p.Read(i)
		if err != nil {
			return nil, 0, 0, err
		}
		return s.Label, s.H, s.W, nil
	}
	return readLabels(p.items[i].label, p.table)
}

// Select is the samples of ds with the given indices, in that order.
func Select(ds Dataset, indices []int) Dataset { return &selection{ds, indices} }

// selection is some samples of a dataset, in a given order.
type selection struct {
	Dataset
	indices []int
}

func (s *selection) Len() int                    { return len(s.indices) }
func (s *selection) Read(i int) (*Sample, error) { return s.Dataset.Read(s.indices[i]) }

func (s *selection) sampleName(i int) (string, error) { return SampleName(s.Dataset, s.indices[i]) }

func (s *selection) readLabels(i int) (label []byte, h, w int, err error) {
	return Labels(s.Dataset, s.indices[i])
}
