package workload

import (
	"fmt"
	"strconv"
	"strings"
)

// interval is one or more indexes in a row, both ends included.
type interval struct{ first, last int32 }

// Indexes of a job are written as numbers and intervals joined by commas, rising, such as "1,3-5,7". All of them are below the number
// of completions.

// countIndexes is how many indexes a list names. The error says what is wrong with it in the words that clients know.
func countIndexes(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	total, previous := int32(0), int32(-1)
	for part := range strings.SplitSeq(text, ",") {
		in, err := parseInterval(part, completions)
		if err != nil {
			return 0, err
		}
		if total > 0 && previous >= in.first {
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", previous, in.first)
		}
		total += in.last - in.first + 1
		previous = in.last
	}
	return total, nil
}

func parseInterval(text string, completions int32) (interval, error) {
	ends := strings.Split(text, "-")
	if len(ends) > 2 {
		return interval{}, fmt.Errorf(
			"the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", text)
	}
	first, err := parseIndex(ends[0], completions)
	if err != nil || len(ends) == 1 {
		return interval{first, first}, err
	}
	last, err := parseIndex(ends[1], completions)
	if err != nil {
		return interval{}, err
	}
	if first >= last {
		return interval{}, fmt.Errorf("non-increasing order, previous: %d, current: %d", first, last)
	}
	return interval{first, last}, nil
}

func parseIndex(text string, completions int32) (int32, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	case n >= int(completions):
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}

// overlap finds the first index that is in both lists. Parts that cannot be read are passed over, since countIndexes refuses them.
func overlap(a, b string, completions int32) (index int32, found bool) {
	as, bs := readable(a, completions), readable(b, completions)
	for len(as) > 0 && len(bs) > 0 {
		switch x, y := as[0], bs[0]; {
		case x.first <= y.last && y.first <= x.last:
			return max(x.first, y.first), true
		case x.first <= y.first:
			as = as[1:]
		default:
			bs = bs[1:]
		}
	}
	return 0, false
}

func readable(text string, completions int32) []interval {
	if text == "" {
		return nil
	}
	var list []interval
	for part := range strings.SplitSeq(text, ",") {
		if in, err := parseInterval(part, completions); err == nil {
			list = append(list, in)
		}
	}
	return list
}
