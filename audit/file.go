package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is what the committer needs of the active segment.
type file interface {
	// Write appends to the file, wherever it ends.
	io.Writer
	// Truncate cuts the file to size.
	Truncate(size int64) error
	// Sync returns when all bytes written, and the length of the file, are on stable storage.
	Sync() error
}

// segmentFile is a segment on disk, synced without the metadata that nobody needs after a crash.
type segmentFile struct{ *os.File }

func (f segmentFile) Sync() error { return syncData(f.File) }

// stream is the log on a pipe or terminal, which can neither be synced nor cut. A record that could not be written in
// full is ended with a newline instead, so that the next one stands on a line of its own.
type stream struct {
	w     io.Writer
	wrote int64
}

func (s *stream) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.wrote += int64(n)
	return n, err
}

func (s *stream) Truncate(size int64) error {
	if s.wrote == size {
		return nil
	}
	if _, err := s.w.Write([]byte("\n")); err != nil {
		return err
	}
	s.wrote = size
	return nil
}

func (s *stream) Sync() error { return nil }

// segmentTime is the form of the time in the name of a rotated segment. Names sort in the order of the chain.
const segmentTime = "20060102T150405.000000Z"

// Segments returns the files of the log at path in the order of its chain, the active one last. It returns an error that
// is fs.ErrNotExist if there are none.
func Segments(path string) ([]string, error) {
	files, err := rotated(path)
	if err != nil {
		return nil, err
	}
	active, err := exists(path)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if active {
		files = append(files, path)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("audit: there is no log at %s: %w", path, os.ErrNotExist)
	}
	return files, nil
}

// rotated returns the rotated segments, oldest first.
func rotated(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var files []string
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), base+"-")
		if _, err := time.Parse(segmentTime, stamp); ok && err == nil {
			files = append(files, path+"-"+stamp)
		}
	}
	slices.Sort(files)
	return files, nil
}

// rotatedAt is the time in the name of a rotated segment.
func rotatedAt(path, segment string) time.Time {
	t, err := time.Parse(segmentTime, strings.TrimPrefix(segment, path+"-"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// firstSeq is the sequence number of the first record in a segment.
func firstSeq(name string) (uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	line, err := NewLines(f).Next()
	if err != nil {
		return 0, fmt.Errorf("audit: %s: %w", name, err)
	}
	_, link, err := ParseLine(line)
	if err != nil {
		return 0, fmt.Errorf("audit: %s: line 1: %w", name, err)
	}
	return link.Seq, nil
}

// syncDir makes renames and new files in the directory of path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
