package server

import (
	"math"
	"sync"
	"time"
)

// writeBound cuts a stream off when one write takes too long. Waiting between writes is not bounded.
//
// A deadline of the stream that is set before each write and lifted behind it would say the same: over HTTP/2 each of the two is a
// message to the goroutine that owns the connection and a timer of its own, which together cost a quarter of an event. Here the deadline is
// set when the time is over.
type writeBound struct {
	limit time.Duration
	timer *time.Timer

	mu    sync.Mutex // held while the stream is cut off: it must not be touched once its handler has returned
	ended bool       // guarded by mu
}

// boundWrites returns a bound that calls cut, at most once for each write, when the write has taken longer than limit. Its user calls close.
func boundWrites(limit time.Duration, cut func()) *writeBound {
	b := &writeBound{limit: limit}
	b.timer = time.AfterFunc(math.MaxInt64, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.ended {
			cut()
		}
	})
	b.timer.Stop()
	return b
}

// during runs a write.
func (b *writeBound) during(write func() error) error {
	b.timer.Reset(b.limit)
	defer b.timer.Stop()
	return write()
}

// close ends the bound; cut is not running afterwards, nor called again.
func (b *writeBound) close() {
	b.timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}
