package api

import (
	"slices"
	"strings"
	"sync"
)

// Bounds of the warnings of one request: how many are kept, and how many bytes of each. What is beyond is dropped.
const (
	MaxWarnings     = 64
	MaxWarningBytes = 1 << 10
)

// Warnings collects the texts that a request's answer carries in Warning headers (RFC 9110, code
// 299). The zero value is ready to use and a nil *Warnings ignores what it is given. It is safe for concurrent use.
type Warnings struct {
	mu   sync.Mutex // guards list
	list []string
}

// Add records a warning once; control characters become spaces so that it fits in a header.
func (w *Warnings) Add(text string) {
	if w == nil {
		return
	}
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > MaxWarningBytes {
		text = strings.ToValidUTF8(text[:MaxWarningBytes], "")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.list) < MaxWarnings && !slices.Contains(w.list, text) {
		w.list = append(w.list, text)
	}
}

// List returns the warnings in the order they were added.
func (w *Warnings) List() []string {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}
