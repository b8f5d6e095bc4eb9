package review

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

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
// an error, which it returns. A line that is no event is counted and passed over: use Verify to judge it.
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
