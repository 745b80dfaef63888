// Package report writes what a run found: the comparison table on a terminal or as JSON, and one self-contained HTML file with
// plots, architectures, scenes and figures that any browser shows in light or dark, without scripts and without a network.
package report

import (
	"image"
	"image/color"
	"time"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/space"
)

// Report is everything that the HTML file can show. A part that is empty is left out.
type Report struct {
	Title        string
	Subtitle     string
	Highlights   []Field // a few figures at the top
	Conditions   []Field // processor, instruction set, threads, stamp, seed, configuration
	Plan         []Field // what the run set out to do
	Rows         []Row
	Notes        []string // remarks below the comparison table
	Search       *Search
	Verification *latency.Verification
	Figures      []Figure // loss and mIoU curves of the stages
	Networks     []Network
	Classes      []Class
	ClassIoU     []ClassIoU
	Scenes       []Scene
	Stages       []Stage
	Next         []string // commands to type next
}

// Field is a named value; Note is small print and may be empty.
type Field struct{ Name, Value, Note string }

// Search is what the evolution evaluated.
type Search struct {
	Cost      string  // what is limited, such as "predicted latency"
	Unit      string  // its unit, such as "ms"
	Limit     float64 // in that unit; 0 for none
	Evaluated []Point
	Marks     []Mark // networks to point out
}

// Point is one evaluated network.
type Point struct {
	Cost       float64 // in Search.Unit
	MIoU       float64 // a share, on the search's validation set, with the supernet's weights
	Generation int     // from 1
	Arch       space.Arch
	MACs       int64 // multiply-adds of a picture; 0: not known
	Params     int64 // learned parameters; 0: not known
}

// Mark is a network that the trade-off plot points out by name.
type Mark struct {
	Name       string
	Cost, MIoU float64 // as in Point
}

// Figure is one plot of curves.
type Figure struct {
	Title, XLabel, YLabel string
	Series                []Series
}

// Series is one curve: points (X[i], Y[i]), X ascending. Points that are not finite are left out.
type Series struct {
	Name string
	X, Y []float64
}

// Network is an architecture to draw.
type Network struct {
	Name string
	Arch space.Arch
}

// Class is a class in the colour that label pictures give it.
type Class struct {
	Name  string
	Color color.Color
}

// ClassIoU is a network's intersection over union of each of Report.Classes, as shares; NaN for a class that does not occur.
type ClassIoU struct {
	Name string
	IoU  []float64
}

// Scene is one picture with its true and its predicted labels, all in the size in which they should be looked at.
type Scene struct {
	Name         string
	Input, Truth image.Image
	Predictions  []Prediction
}

// Prediction is one network's label picture.
type Prediction struct {
	Name  string
	Image image.Image
}

// Stage is a part of the run and the time it took.
type Stage struct {
	Name   string
	Took   time.Duration
	Detail string
}
