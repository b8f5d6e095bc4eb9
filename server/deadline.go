package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// This file bounds how long a request may take to come, to be handled and to be answered, and how large its body may be.

// timeToRefuse is how much longer than the request its answer may take to be sent.
const timeToRefuse = 5 * time.Second

// limitBody bounds the body. It changes the exchange's own copy of the request: in its own, net/http must find the body that
// it made, or it resets a connection with an unread body before the client has seen the answer.
func (x *exchange) limitBody() {
	if !streamsBody(x.info) {
		x.r.Body = http.MaxBytesReader(x.w.ResponseWriter, x.r.Body, MaxBodyBytes)
	}
	if x.r.ProtoMajor != 2 && x.r.ContentLength != 0 {
		x.body = &trackedBody{ReadCloser: x.r.Body}
		x.r.Body = x.body
	}
}

// boundConnection bounds reading and writing over HTTP/1, for long-running requests as for all others: until it is known
// who asks and that they may, nobody holds a connection for longer. The handler of a long-running request lifts the
// deadlines when its stream begins. HTTP/2 has deadlines per stream, see setDeadline.
func (x *exchange) boundConnection(timeout time.Duration) error {
	if x.r.ProtoMajor == 2 {
		return nil
	}
	rc := http.NewResponseController(x.w)
	deadline := x.received.Add(timeout)
	return errors.Join(supported(rc.SetReadDeadline(deadline)), supported(rc.SetWriteDeadline(deadline.Add(timeToRefuse))))
}

// setDeadline bounds handling. A long-running request has no deadline but ends with the server; its handler bounds each
// write itself.
//
// Over HTTP/2, deadlines of the stream are set only when the request's time is over, from the timer that ends its context.
// Setting them up front costs a message to the goroutine that owns the connection and a second timer, a tenth of what a
// small GET costs altogether.
func (x *exchange) setDeadline(timeout time.Duration) {
	ctx := withWarnings(x.r.Context(), x.warnings)
	if x.longRunning {
		ctx, x.end = context.WithCancelCause(ctx)
		stop := context.AfterFunc(x.s.watches, func() { x.s.endWatch(ctx, x.end) })
		x.cancel = func() { stop(); x.end(nil) }
		x.r = x.r.WithContext(ctx)
		return
	}
	deadline := x.received.Add(timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	x.r = x.r.WithContext(ctx)
	if x.r.ProtoMajor != 2 {
		x.cancel = cancel
		return
	}
	rc := http.NewResponseController(x.w)
	var handling sync.Mutex // held while deadlines are set; the stream must not be touched once its handler has returned
	done := false
	stop := context.AfterFunc(ctx, func() {
		handling.Lock()
		defer handling.Unlock()
		if done || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return
		}
		if err := errors.Join(supported(rc.SetReadDeadline(deadline)), supported(rc.SetWriteDeadline(deadline.Add(timeToRefuse)))); err != nil {
			x.s.cfg.Logger.Debug("a request over its time could not be bounded", "auditID", x.auditID, "error", err)
		}
	})
	x.cancel = func() {
		stop()
		handling.Lock()
		done = true
		handling.Unlock()
		cancel()
	}
}

// endWatch calls cancel within the grace that watches have, unless the watch has ended before.
func (s *Server) endWatch(ctx context.Context, cancel context.CancelCauseFunc) {
	defer cancel(nil)
	if s.cfg.WatchGrace <= 0 {
		return
	}
	timer := time.NewTimer(rand.N(s.cfg.WatchGrace)) //nolint:gosec // The spread needs no secrecy.
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// supported passes over that a connection, such as one of a test, has no deadlines.
func supported(err error) error {
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return fmt.Errorf("set a deadline of the connection: %w", err)
}

// trackedBody remembers whether the body was read to its end.
type trackedBody struct {
	io.ReadCloser
	ended bool
}

// Read implements [io.Reader].
func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}
