package data

import (
	"bufio"
	"bytes"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

// classLine is one line of a class list.
type classLine struct {
	value  byte
	name   string
	colour [3]byte
	void   bool
}

// parseClassList reads a class list: lines of "value name #rrggbb", where value is what label pictures hold. The colour may be
// left out, names may hold spaces, and lines that start with # are comments. A class named void, ignore or unlabelled is out of
// training and scores, as is the value 255. Classes are numbered in the order of their values. path is for messages.
func parseClassList(path string, raw []byte) (Classes, *labelTable, error) {
	table := &labelTable{list: path}
	table.known[Ignore], table.class[Ignore] = true, Ignore
	var lines []classLine
	seen := map[string]int{}
	var at [256]int
	scan := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; scan.Scan(); n++ {
		text := strings.TrimSpace(strings.TrimPrefix(scan.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		l, err := parseClassLine(path, n, text)
		if err != nil {
			return Classes{}, nil, err
		}
		if at[l.value] > 0 {
			return Classes{}, nil, misuse.Errorf("%s:%d: value %d was given on line %d already", path, n, l.value, at[l.value])
		}
		if seen[l.name] > 0 && !l.void {
			return Classes{}, nil, misuse.Errorf("%s:%d: the name %q was given on line %d already", path, n, l.name, seen[l.name])
		}
		at[l.value], seen[l.name] = n, n
		if l.void {
			table.known[l.value], table.class[l.value] = true, Ignore
			continue
		}
		lines = append(lines, l)
	}
	if err := scan.Err(); err != nil {
		return Classes{}, nil, misuse.Errorf("%s: %w", path, err)
	}
	if len(lines) < 2 {
		return Classes{}, nil, misuse.Errorf("%s: %d classes; at least 2 are wanted, a line each: 0 road #804080", path, len(lines))
	}
	sort.Slice(lines, func(i, j int) bool { return lines[i].value < lines[j].value })
	var classes Classes
	for c, l := range lines {
		table.known[l.value], table.class[l.value] = true, byte(c)
		classes.Names = append(classes.Names, l.name)
		classes.Colors = append(classes.Colors, l.colour)
		classes.Values = append(classes.Values, l.value)
	}
	return classes, table, nil
}

func parseClassLine(path string, n int, text string) (classLine, error) {
	fields := strings.Fields(text)
	value, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil {
		return classLine{}, misuse.Errorf("%s:%d: %q is no label value: a line is a number from 0 to 255, a name and a colour, like: 0 road #804080", path, n, fields[0])
	}
	l := classLine{value: byte(value), colour: defaultColour(int(value))}
	words := fields[1:]
	if last := len(words) - 1; last >= 0 && words[last][0] == '#' {
		rgb, err := strconv.ParseUint(words[last][1:], 16, 24)
		if err != nil || len(words[last]) != 7 {
			return classLine{}, misuse.Errorf("%s:%d: %q is no colour: write #rrggbb with hexadecimal digits", path, n, words[last])
		}
		l.colour = [3]byte{byte(rgb >> 16), byte(rgb >> 8), byte(rgb)}
		words = words[:last]
	}
	l.name = strings.Join(words, " ")
	switch strings.ToLower(l.name) {
	case "":
		return classLine{}, misuse.Errorf("%s:%d: the class of value %d has no name", path, n, value)
	case "void", "ignore", "unlabelled", "unlabeled":
		l.void = true
	}
	if value == Ignore && !l.void {
		return classLine{}, misuse.Errorf("%s:%d: value 255 is kept for pixels to ignore; give %q another value", path, n, l.name)
	}
	return l, nil
}

// defaultColour is a colour for classes whose list names none: hues a golden section apart are far from each other.
func defaultColour(value int) [3]byte {
	hue := math.Mod(float64(value)*0.618034, 1) * 6
	channel := func(n float64) byte {
		k := math.Mod(n+hue, 6)
		return byte(255 * (0.9 - 0.65*max(0, min(k, 4-k, 1))))
	}
	return [3]byte{channel(5), channel(3), channel(1)}
}
