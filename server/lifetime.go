package server

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse/gatehouse/api"
)

// The context of a request
//
// Every request gets a deadline, something to do when it passes (the stream is bounded then, see setDeadline), and its warnings as
// a value. Of the standard library these are three contexts: WithValue, WithDeadline and AfterFunc, with their closures and two tables of
// children an eighth of the memory that a GET allocated. lifetime is one context for all of it. It is a part of the exchange, and has
// one timer, which both ends the context and bounds the stream.
//
// The delicate half, to end once and for one reason, to tell children, and to end with the client, stays with the standard
// library: inner is an ordinary cancelable context, and what ended it is its cause. lifetime only says DeadlineExceeded where that is the
// cause, because inner itself would say Canceled. For the same reason children must not attach themselves to inner, which would pass its word on to
// them: Value does not lead to it, and the AfterFunc method is what package context then uses.
//
// Rejected: a context written from scratch, which saves another 100 bytes and would have to get all of the above right by itself.
//
// Cost: a child context, of which a write has a few and a GET none, is an allocation or two dearer than below a context of the library.

// lifetime is the context of a request with a deadline. It must be begun before use, and is safe for concurrent use then.
type lifetime struct {
	client   context.Context // net/http's: it has the values, and ends with the client
	inner    context.Context // a child of client
	end      context.CancelCauseFunc
	deadline time.Time
	warnings *api.Warnings
}

// begin starts the lifetime, which ends with the client or by a call of end. That this call comes at the deadline is the caller's part.
func (l *lifetime) begin(client context.Context, deadline time.Time, warnings *api.Warnings) {
	l.client, l.deadline, l.warnings = client, deadline, warnings
	l.inner, l.end = context.WithCancelCause(client)
}

// Deadline implements [context.Context].
func (l *lifetime) Deadline() (time.Time, bool) {
	if d, ok := l.client.Deadline(); ok && d.Before(l.deadline) {
		return d, true
	}
	return l.deadline, true
}

// Done implements [context.Context].
func (l *lifetime) Done() <-chan struct{} { return l.inner.Done() }

// Err implements [context.Context].
func (l *lifetime) Err() error {
	err := l.inner.Err()
	if err != nil && errors.Is(context.Cause(l.inner), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// Value implements [context.Context].
func (l *lifetime) Value(key any) any {
	if key == (warningsKey{}) {
		return l.warnings
	}
	return l.client.Value(key)
}

// AfterFunc is what [context.AfterFunc] and the contexts derived from this one use.
func (l *lifetime) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(l.inner, f) }
