package data

import "fmt"

// NumberedClasses are n classes, at most 255, of which nothing is known but their number: "class 0" and on, in colours that are easily told apart.
func NumberedClasses(n int) Classes {
	var c Classes
	for i := range n {
		c.Names = append(c.Names, fmt.Sprintf("class %d", i))
		c.Colors = append(c.Colors, defaultColour(i))
	}
	return c
}
