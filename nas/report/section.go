package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// question is a Section as the template shows it.
type question struct {
	*Section
	parts
	Sheets []sheet
}

// sheet is a Table whose cells know how they look.
type sheet struct {
	Title, Note string
	Head        []sheetCell
	Lines       [][]sheetCell
}

type sheetCell struct {
	Text, Class string
	Head        bool
}

func (p *page) addSections() error {
	for i := range p.Sections {
		s := &p.Sections[i]
		shared, err := newParts(s.Figures, s.Networks, s.Classes, s.ClassIoU, s.Scenes)
		if err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
		q := question{Section: s, parts: shared}
		for j := range s.Tables {
			if len(s.Tables[j].Rows) > 0 {
				q.Sheets = append(q.Sheets, s.Tables[j].sheet())
			}
		}
		p.Questions = append(p.Questions, q)
	}
	return nil
}

// sheet gives every row as many cells as the longest has, so that rules reach from side to side.
func (t *Table) sheet() sheet {
	columns := len(t.Header)
	for _, row := range t.Rows {
		columns = max(columns, len(row))
	}
	text := make([]bool, columns)
	for column := 1; column < columns; column++ {
		text[column] = t.isText(column)
	}
	line := func(texts []string, row int) []sheetCell {
		cells := make([]sheetCell, columns)
		for column := range cells {
			cell := &cells[column]
			cell.Head = row < 0
			if column < len(texts) {
				cell.Text = texts[column]
			}
			var classes []string
			if text[column] {
				classes = append(classes, "text")
			}
			if slices.Contains(t.Strong, [2]int{row, column}) {
				classes = append(classes, "strong")
			}
			cell.Class = strings.Join(classes, " ")
		}
		return cells
	}
	s := sheet{Title: t.Title, Note: t.Note}
	if len(t.Header) > 0 {
		s.Head = line(t.Header, -1)
	}
	for i, row := range t.Rows {
		s.Lines = append(s.Lines, line(row, i))
	}
	return s
}

// isText tells whether a column has more words than figures in it. Cells that say nothing do not count.
func (t *Table) isText(column int) bool {
	words := 0
	for _, row := range t.Rows {
		if column >= len(row) {
			continue
		}
		switch cell := strings.TrimSpace(row[column]); {
		case cell == "" || cell == unknown || cell == "-" || cell == "—" || cell == "NaN":
		case isFigure(cell):
			words--
		default:
			words++
		}
	}
	return words > 0
}

// isFigure tells whether a text starts as figures do: 68.3 ± 0.4, +1.2 %, < 0.01, 5 min 07 s.
func isFigure(cell string) bool {
	start := strings.TrimLeft(cell, "+-−±<>≤≥≈~ .(")
	return start != "" && unicode.IsDigit([]rune(start)[0])
}
