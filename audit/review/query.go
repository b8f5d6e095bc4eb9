package review

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/gatehouse/gatehouse/audit"
)

// Found is an event that a query selected.
type Found struct {
	File  string
	Line  int
	Raw   []byte // the line without its newline; valid during the call only
	Event audit.Event
}

// Stats says what a query went through.
type Stats struct {
	Lines, Matched uint64
	// Malformed counts lines that are no JSON event; FirstMalformed is FILE:LINE of the first.
	Malformed      uint64
	FirstMalformed string
}

// Query calls do for every event of the log at path that the filter selects, in the order of the log, until do returns
// an error, which it returns. A line that is no event is counted and passed over: use Verify to judge it. A query for
// the last events reads the newest files first and does not go further back, or count further, than it has to.
func Query(ctx context.Context, path string, f Filter, do func(Found) error) (Stats, error) {
	files, err := open(path, nil)
	if err != nil {
		return Stats{}, err
	}
	if len(files) == 0 {
		return Stats{}, fmt.Errorf("there is no audit log at %s: %w", path, os.ErrNotExist)
	}
	defer closeAll(files)
	q := query{filter: f, needles: f.needles(), do: do}
	if f.Tail > 0 {
		return q.tail(ctx, files)
	}
	for _, file := range files {
		err := q.file(ctx, file)
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return q.stats, err
		}
	}
	return q.stats, nil
}

// tail calls do for the last events.
func (q *query) tail(ctx context.Context, files []*os.File) (Stats, error) {
	do := q.do
	var last []Found
	for _, file := range slices.Backward(files) {
		r := ring{max: q.filter.Tail - len(last)}
		q.do = r.add
		if err := q.file(ctx, file); err != nil {
			return q.stats, err
		}
		if last = append(r.ordered(), last...); len(last) == q.filter.Tail {
			break
		}
	}
	q.stats.Matched = uint64(len(last))
	for _, found := range last {
		if err := do(found); err != nil {
			return q.stats, err
		}
	}
	return q.stats, nil
}

// ring keeps the last max of what is added, max being positive.
type ring struct {
	max   int
	kept  []Found
	first int // index of the oldest, once kept is full
}

func (r *ring) add(f Found) error {
	f.Raw = bytes.Clone(f.Raw)
	if len(r.kept) < r.max {
		r.kept = append(r.kept, f)
		return nil
	}
	r.kept[r.first] = f
	r.first = (r.first + 1) % r.max
	return nil
}

func (r *ring) ordered() []Found { return slices.Concat(r.kept[r.first:], r.kept[:r.first]) }

// errEnough ends a query that found as many events as it may.
var errEnough = errors.New("limit reached")

type query struct {
	filter  Filter
	needles [][]byte
	do      func(Found) error
	stats   Stats
}

func (q *query) file(ctx context.Context, f *os.File) error {
	lines := audit.NewLines(f)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, audit.ErrLineTooLong):
			q.malformed(f.Name(), lines.Number)
			continue
		case errors.Is(err, audit.ErrTornLine):
			return nil // being written
		case err != nil:
			return err
		}
		if lines.Number%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := q.line(line, f.Name(), lines.Number); err != nil {
			return err
		}
	}
}

func (q *query) line(line []byte, file string, number int) error {
	q.stats.Lines++
	if !containsAll(line, q.needles) {
		return nil
	}
	found := Found{File: file, Line: number, Raw: line}
	if err := json.Unmarshal(line, &found.Event); err != nil || found.Event.Kind != "Event" {
		q.malformed(file, number)
		return nil
	}
	if !q.filter.Match(&found.Event) {
		return nil
	}
	q.stats.Matched++
	if err := q.do(found); err != nil {
		return err
	}
	if q.filter.Limit > 0 && q.stats.Matched >= uint64(q.filter.Limit) {
		return errEnough
	}
	return nil
}

func (q *query) malformed(file string, number int) {
	if q.stats.Malformed++; q.stats.Malformed == 1 {
		q.stats.FirstMalformed = fmt.Sprintf("%s:%d", file, number)
	}
}
