package api

import (
	"slices"
	"sync"
	"unicode/utf8"
)

// Bounds of the warnings of one request. What is beyond is dropped.
const (
	// MaxWarnings bounds how many are kept: strict decoding stops after 100 faults, and the rest of the request has some to say.
	MaxWarnings = 128
	// MaxWarningBytes bounds what is kept of each: as many characters, of any length, as all may have together, and one more.
	MaxWarningBytes = utf8.UTFMax * (maxAllWarnings + 1)

	// An answer carries so many characters of warnings, or where there are more the beginnings of them. Clients bound headers.
	maxAllWarnings  = 4096
	maxShortWarning = 256
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
	text = Cut(Line(text), MaxWarningBytes)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.list) < MaxWarnings && !slices.Contains(w.list, text) {
		w.list = append(w.list, text)
	}
}

// List returns the warnings in the order they were added, within the bounds of an answer.
func (w *Warnings) List() []string {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := 0
	for _, text := range w.list {
		all += utf8.RuneCountInString(text)
	}
	if all <= maxAllWarnings {
		return slices.Clone(w.list)
	}
	var short []string
	all = 0
	for _, text := range w.list {
		if all >= maxAllWarnings {
			break
		}
		if runes := []rune(text); len(runes) > maxShortWarning {
			text = string(runes[:maxShortWarning])
		}
		all += utf8.RuneCountInString(text)
		short = append(short, text)
	}
	return short
}
