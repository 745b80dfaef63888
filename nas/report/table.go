package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Row is one network of the comparison. Zero stands for a figure that is not known.
type Row struct {
	Name        string  `json:"name"`
	Arch        string  `json:"arch,omitempty"`           // canonical text; empty for networks outside the space
	MIoU        float64 `json:"miou,omitempty"`           // a share
	MIoUSpread  float64 `json:"miou_spread,omitempty"`    // standard deviation over seeds
	MACs        int64   `json:"macs,omitempty"`           // multiply-adds of a picture
	Params      int64   `json:"params,omitempty"`         // learned parameters
	BitOps      int64   `json:"bit_operations,omitempty"` // of a picture, in a network with bit widths
	Bytes       int64   `json:"model_bytes,omitempty"`    // of such a network as it is stored
	Precision   string  `json:"precision,omitempty"`      // of the times: int8 in integers; empty where it is the device's of all
	PredictedMS float64 `json:"predicted_ms,omitempty"`   // from the latency table
	MeasuredMS  float64 `json:"measured_ms,omitempty"`    // median
	Q1MS        float64 `json:"q1_ms,omitempty"`          // quartiles of the measured time
	Q3MS        float64 `json:"q3_ms,omitempty"`          //
	P99MS       float64 `json:"p99_ms,omitempty"`         // 99th percentile of the measured time
	Joules      float64 `json:"joules,omitempty"`         // energy of a picture, measured
	Samples     int     `json:"samples,omitempty"`        // accepted runs behind the measured time
	FPS         float64 `json:"fps,omitempty"`            // pictures per second
	WithinLimit *bool   `json:"within_limit,omitempty"`   // nil without a limit
	Winner      bool    `json:"winner,omitempty"`         // set off in the report
}

const unknown = "–"

// header of the comparison; cells gives a row's texts in this order.
var header = []string{"network", "mIoU %", "GMACs", "params M", "G bit ops", "KB", "precision", "predicted ms", "measured ms", "quartiles", "FPS", "J/picture", "in limit", "architecture"}

func (r Row) cells() []string {
	within := unknown
	if r.WithinLimit != nil {
		within = map[bool]string{true: "yes", false: "no"}[*r.WithinLimit]
	}
	quartiles := unknown
	if r.Q3MS > 0 {
		quartiles = significant(r.Q1MS) + " – " + significant(r.Q3MS)
	}
	arch := unknown
	if r.Arch != "" {
		arch = r.Arch
	}
	return []string{
		r.Name, r.miou(), scaled(r.MACs, 1e9), scaled(r.Params, 1e6), scaled(r.BitOps, 1e9), scaled(r.Bytes, 1e3), cmp.Or(r.Precision, unknown), significant(r.PredictedMS), significant(r.MeasuredMS), quartiles,
		significant(r.FPS), r.joules(), within, arch,
	}
}

func (r Row) miou() string {
	switch {
	case r.MIoU == 0:
		return unknown
	case r.MIoUSpread > 0:
		return fmt.Sprintf("%.1f ± %.1f", 100*r.MIoU, 100*r.MIoUSpread)
	}
	return fmt.Sprintf("%.1f", 100*r.MIoU)
}

func (r Row) joules() string {
	if r.Joules <= 0 {
		return unknown
	}
	return fmt.Sprintf("%.3g", r.Joules)
}

func scaled(n int64, unit float64) string {
	if n == 0 {
		return unknown
	}
	return fmt.Sprintf("%.3f", float64(n)/unit)
}

// significant writes a positive figure with two decimals, fewer once it has three digits before them.
func significant(v float64) string {
	switch {
	case v <= 0:
		return unknown
	case v < 99.995:
		return fmt.Sprintf("%.2f", v)
	case v < 999.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// WriteTable writes the comparison as text with aligned columns. Columns that no row knows are left out.
func WriteTable(w io.Writer, rows []Row) error {
	lines := [][]string{header}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	var text strings.Builder
	columns := knownColumns(rows)
	for _, line := range lines {
		for i, column := range columns {
			cell := line[column]
			pad := strings.Repeat(" ", width(lines, column)-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				text.WriteString(cell + pad)
			case column == len(header)-1: // the architecture closes the line
				text.WriteString("  " + cell)
			default:
				text.WriteString("  " + pad + cell)
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// knownColumns lists the columns of which some row knows the value; the name is always one.
func knownColumns(rows []Row) []int {
	columns := []int{0}
	for column := 1; column < len(header); column++ {
		for _, r := range rows {
			if r.cells()[column] != unknown {
				columns = append(columns, column)
				break
			}
		}
	}
	return columns
}

func width(lines [][]string, column int) int {
	widest := 0
	for _, line := range lines {
		widest = max(widest, utf8.RuneCountInString(line[column]))
	}
	return widest
}

// WriteJSON writes the rows as an indented JSON array.
func WriteJSON(w io.Writer, rows []Row) error {
	if rows == nil {
		rows = []Row{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rows)
}
