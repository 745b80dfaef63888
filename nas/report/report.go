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
	Highlights   []Field   // a few figures at the top
	Sections     []Section // of a report on several questions, in order, after the highlights
	Conditions   []Field   // processor, instruction set, threads, stamp, seed, configuration
	Plan         []Field   // what the run set out to do
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

// Section answers one question. A part that is empty is left out.
type Section struct {
	Name     string // of the anchor, such as "sharing"
	Title    string
	Lead     string // what was asked and how, in a sentence or two
	Tables   []Table
	Notes    []string // what it says, and under which conditions
	Figures  []Figure
	Networks []Network // drawn side by side
	Classes  []Class
	ClassIoU []ClassIoU
	Scenes   []Scene
}

// Table is text in rows and columns; the first column is left-aligned, others right, unless a column's cells are no figures.
type Table struct {
	Title  string     `json:"title,omitempty"`
	Header []string   `json:"header,omitempty"`
	Rows   [][]string `json:"rows"`
	Strong [][2]int   `json:"strong,omitempty"` // (row, column) of cells to stand out, such as a table's diagonal
	Note   string     `json:"note,omitempty"`
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

// Figure is one plot of curves or dots. Where its places have names, series are dots at 0, 1, ..., those that share a place a little apart:
// no line leads from name to name.
type Figure struct {
	Title  string   `json:"title,omitempty"`
	XLabel string   `json:"x_label,omitempty"`
	YLabel string   `json:"y_label,omitempty"`
	Series []Series `json:"series"`
	Ticks  []string `json:"ticks,omitempty"` // names of the places 0, 1, ... of the x axis, instead of figures
}

// Series is one curve: points (X[i], Y[i]), X ascending unless they are dots. Points that are not finite are left out.
type Series struct {
	Name  string    `json:"name,omitempty"` // without one it is not in the legend
	X     []float64 `json:"x"`
	Y     []float64 `json:"y"`
	Dots  bool      `json:"dots,omitempty"`  // points alone, without a line between
	Error []float64 `json:"error,omitempty"` // half-heights of error bars, in the unit of Y; nil for none
}

// Network is an architecture to draw.
type Network struct {
	Name string     `json:"name"`
	Arch space.Arch `json:"arch"`
}

// Class is a class in the colour that label pictures give it.
type Class struct {
	Name  string
	Color color.Color
}

// ClassIoU is a network's intersection over union of each of the Classes beside it, as shares; NaN for a class that does not occur.
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
