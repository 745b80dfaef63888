package data

import "github.com/segnas/segnas/nas/misuse"

// pair is the files of one sample.
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

// DefaultCacheBytes bounds the memory that decoded pictures of a Folder or CamVid may take, all splits together: 1 GiB holds
// all of CamVid (468 pictures of 360 x 480) three times over.
const DefaultCacheBytes = 1 << 30

// split cuts a dataset's samples up by index, over one cache.
func split(ds Dataset, indices []int) Dataset { return &selection{ds, indices} }

// selection is some samples of a dataset, in a given order.
type selection struct {
	Dataset
	indices []int
}

func (s *selection) Len() int                    { return len(s.indices) }
func (s *selection) Read(i int) (*Sample, error) { return s.Dataset.Read(s.indices[i]) }
