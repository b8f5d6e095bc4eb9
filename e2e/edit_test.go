package e2e_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// editLine applies one forgery to the line with a number: "remove", or
// "old=new" for the first occurrence of old.
func editLine(data []byte, number int, how string) ([]byte, error) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	if number < 1 || number > len(lines) {
		return nil, fmt.Errorf("no line %d among %d", number, len(lines))
	}
	if how == "remove" {
		return bytes.Join(slices.Delete(lines, number-1, number), nil), nil
	}
	from, to, ok := strings.Cut(how, "=")
	if !ok || !bytes.Contains(lines[number-1], []byte(from)) {
		return nil, fmt.Errorf("line %d has nothing to change with %q", number, how)
	}
	lines[number-1] = bytes.Replace(lines[number-1], []byte(from), []byte(to), 1)
	return bytes.Join(lines, nil), nil
}
