package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// RecoveryWindowBytes is how much of the end of the log is searched at start for requests whose outcome is not on record.
const RecoveryWindowBytes = 8 << 20

// tail is what a start finds at the end of the log.
type tail struct {
	end position // where the next record goes; size is that of the active segment
	cut int64    // bytes of an incomplete last line
}

// BrokenError says that the log on disk is not what its checkpoint and its chain say it is. The server does not start on it.
type BrokenError struct {
	File string
	Line int // 0 if the fault is not in a particular line
	Why  string
}

// Error names the place, the fault, and what to do.
func (e *BrokenError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("audit log %s: %s. Run 'gatehouse audit verify' to see all of the damage; to go on with a new log, "+
		"keep this one as evidence by moving it and the files beside it (%s etc.) away", at, e.Why, SuffixCheckpoint)
}

// readTail finds the record that the checkpoint signed, and follows the chain from there to the end. Records before it
// are left to verification, so that the time a start takes does not depend on the length of the log.
func readTail(path string, cp Checkpoint) (tail, error) {
	files, err := rotated(path)
	if err != nil {
		return tail{}, err
	}
	active, err := exists(path)
	if err != nil {
		return tail{}, fmt.Errorf("audit: %w", err)
	}
	if active {
		files = append(files, path)
	}
	if cp.Seq == 0 { // nothing was signed yet, so nothing was rotated
		return follow(path, files, position{})
	}
	// The record is in the active segment, or in the newest rotated one if the process ended right after a rotation.
	for i := len(files) - 1; i >= max(0, len(files)-2); i-- {
		found, err := holds(files[i], cp)
		if err != nil {
			return tail{}, err
		}
		if found {
			return follow(path, files[i:], position{seq: cp.Seq, head: cp.Head, size: cp.Size})
		}
	}
	return tail{}, missing(path, files, cp)
}

// holds reports whether the line that ends at the size in the checkpoint is the record it signed.
func holds(name string, cp Checkpoint) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	from := max(0, cp.Size-MaxLineBytes)
	b := make([]byte, min(cp.Size, 64<<10))
	for {
		at := cp.Size - int64(len(b))
		if n, err := f.ReadAt(b, at); n < len(b) {
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, fmt.Errorf("audit: %s: %w", name, err)
		}
		if len(b) == 0 || b[len(b)-1] != '\n' {
			return false, nil
		}
		start := lastNewline(b[:len(b)-1]) + 1
		if start > 0 || at == 0 {
			event, link, err := ParseLine(b[start : len(b)-1])
			return err == nil && link.Seq == cp.Seq && link.Hash == cp.Head &&
				NewHasher().Sum(link.Prev, link.Seq, event) == cp.Head, nil
		}
		if at == from {
			return false, nil
		}
		b = make([]byte, min(int64(len(b))*4, cp.Size-from))
	}
}

func lastNewline(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '\n' {
			return i
		}
	}
	return -1
}

// missing says why the signed record is not where it should be.
func missing(path string, files []string, cp Checkpoint) error {
	if len(files) == 0 {
		return &BrokenError{File: path, Why: fmt.Sprintf("the log is gone, but its checkpoint covers records up to %d", cp.Seq)}
	}
	last := files[len(files)-1]
	n, size, err := countLines(last, cp.Size)
	if err != nil {
		return err
	}
	if size < cp.Size {
		return &BrokenError{File: last, Line: n, Why: fmt.Sprintf(
			"the log was cut off here, at %d bytes; its checkpoint covers %d bytes, up to record %d", size, cp.Size, cp.Seq)}
	}
	return &BrokenError{File: last, Line: n, Why: fmt.Sprintf("this should be record %d, which the checkpoint signed, and is not", cp.Seq)}
}

// countLines returns the number of lines in the first limit bytes of a file, and how many bytes of those there are.
func countLines(name string, limit int64) (n int, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	lines := NewLines(io.LimitReader(f, limit))
	for {
		if _, err := lines.Next(); errors.Is(err, io.EOF) {
			return lines.Number, lines.Offset, nil
		} else if err != nil && !errors.Is(err, ErrTornLine) && !errors.Is(err, ErrLineTooLong) {
			return 0, 0, fmt.Errorf("audit: %s: %w", name, err)
		}
	}
}

// follow checks that every line after from, which is in the first file, continues the chain.
func follow(path string, files []string, from position) (tail, error) {
	t := tail{end: from}
	for _, name := range files {
		last := name == path
		if err := t.followFile(name, last); err != nil {
			return tail{}, err
		}
		if !last {
			t.end.size = 0 // the next one starts empty, or has to be created
		}
	}
	return t, nil
}

func (t *tail) followFile(name string, last bool) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	start := t.end.size
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return fmt.Errorf("audit: %s: %w", name, err)
	}
	hasher, lines := NewHasher(), NewLines(f)
	broken := func(why string) error {
		before, _, err := countLines(name, start)
		return errors.Join(&BrokenError{File: name, Line: before + lines.Number, Why: why}, err)
	}
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrTornLine) && last:
			t.cut = int64(len(line))
			return nil
		case errors.Is(err, ErrTornLine), errors.Is(err, ErrLineTooLong):
			return broken(err.Error())
		case err != nil:
			return fmt.Errorf("audit: %s: %w", name, err)
		}
		event, link, err := ParseLine(line)
		switch {
		case err != nil:
			return broken(err.Error())
		case link.Seq != t.end.seq+1 || link.Prev != t.end.head:
			return broken(fmt.Sprintf("record %d does not follow record %d", link.Seq, t.end.seq))
		case hasher.Sum(link.Prev, link.Seq, event) != link.Hash:
			return broken(fmt.Sprintf("record %d was changed", link.Seq))
		}
		t.end = position{seq: link.Seq, head: link.Hash, size: start + lines.Offset}
	}
}

// unfinished returns the RequestReceived events within the last window bytes of the log that have no later event, in
// the order of the log.
func unfinished(files []string, window int64) ([]Event, error) {
	open := map[string][]Event{} // by audit ID, which clients may choose, so that it need not be unique
	var order []string
	sizes, from := make([]int64, len(files)), len(files)
	for from > 0 && window > 0 {
		from--
		info, err := os.Stat(files[from])
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		sizes[from] = min(window, info.Size())
		window -= sizes[from]
	}
	for i := from; i < len(files); i++ {
		err := eachEvent(files[i], sizes[i], func(e Event) {
			switch e.Stage {
			case StageRequestReceived:
				open[e.AuditID] = append(open[e.AuditID], e)
				order = append(order, e.AuditID)
			case StageResponseComplete, StagePanic:
				if started := open[e.AuditID]; len(started) > 0 {
					open[e.AuditID] = started[1:]
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	var events []Event
	for _, id := range order {
		events = append(events, open[id]...)
		delete(open, id)
	}
	return events, nil
}

// eachEvent decodes the lines within the last size bytes of a file. A line that cannot be decoded is no event of
// ours, so it is passed over.
func eachEvent(name string, size int64, do func(Event)) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	start := max(0, info.Size()-size)
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	lines := NewLines(f)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrTornLine), errors.Is(err, ErrLineTooLong):
			continue
		case err != nil:
			return fmt.Errorf("audit: %s: %w", name, err)
		}
		var e Event
		if lines.Number == 1 && start > 0 || json.Unmarshal(line, &e) != nil {
			continue // the window may begin in the middle of a line
		}
		do(e)
	}
}
