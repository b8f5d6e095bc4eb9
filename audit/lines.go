package audit

import (
	"bufio"
	"errors"
	"io"
)

// MaxLineBytes bounds a line of the log, newline included. No event reaches it: the bounds of its parts add up to less.
const MaxLineBytes = 16 << 20

// Errors of [Lines.Next] that concern one line.
var (
	// ErrTornLine is returned together with what there is of a last line that has no newline.
	ErrTornLine = errors.New("audit: the last line is not complete")
	// ErrLineTooLong stands for a line over MaxLineBytes, which was skipped.
	ErrLineTooLong = errors.New("audit: the line is too long")
)

// Lines reads a segment line by line in bounded memory.
type Lines struct {
	// Number is that of the line returned last, from 1.
	Number int
	// Offset is the number of bytes read up to and including that line.
	Offset int64

	r    *bufio.Reader
	long []byte
}

// NewLines reads from r.
func NewLines(r io.Reader) *Lines { return &Lines{r: bufio.NewReaderSize(r, 256<<10)} }

// Next returns the next line without its newline; it is valid until the next call. At the end it returns io.EOF.
func (l *Lines) Next() ([]byte, error) {
	part, err := l.r.ReadSlice('\n')
	if err == nil {
		l.Number++
		l.Offset += int64(len(part))
		return part[:len(part)-1], nil
	}
	l.long = l.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		l.Offset += int64(len(part))
		if len(l.long) <= MaxLineBytes {
			l.long = append(l.long, part...)
		}
		part, err = l.r.ReadSlice('\n')
	}
	l.Offset += int64(len(part))
	if len(l.long) <= MaxLineBytes {
		l.long = append(l.long, part...)
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(l.long) == 0:
		return nil, io.EOF
	}
	l.Number++
	switch {
	case err != nil:
		return l.long, ErrTornLine
	case len(l.long) > MaxLineBytes:
		return nil, ErrLineTooLong
	}
	return l.long[:len(l.long)-1], nil
}
