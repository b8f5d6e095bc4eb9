package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// This file bounds how long a request may take to come, to be handled and to be answered, and how large its body may be.

// timeToRefuse is how much longer than the request its answer may take to be sent.
const timeToRefuse = 5 * time.Second

// limitBody bounds the body. It changes the exchange's own copy of the request: in its own, net/http must find the body that
// it made, or it resets a connection with an unread body before the client has seen the answer. A request of length 0 has no body: net/http
// gives out no byte of what may come all the same.
func (x *exchange) limitBody() {
	if x.r.ContentLength != 0 && !streamsBody(x.info) {
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
	if x.longRunning {
		ctx, end := context.WithCancelCause(withWarnings(x.r.Context(), &x.warnings))
		stop := context.AfterFunc(x.s.watches, func() { x.s.endWatch(ctx, end) })
		x.life.end = func(cause error) { stop(); end(cause) }
		x.setContext(ctx)
		return
	}
	x.life.begin(x.r.Context(), x.received.Add(timeout), &x.warnings)
	x.setContext(&x.life)
	if left := time.Until(x.life.deadline); left > 0 {
		x.timer = time.AfterFunc(left, x.expire)
	} else {
		x.expire()
	}
}

// setContext makes r the exchange's own copy of the request, with the context. The copy that WithContext makes stays on the stack.
func (x *exchange) setContext(ctx context.Context) {
	x.request = *x.r.WithContext(ctx)
	x.r = &x.request
}

// expire ends the context of a request whose time is over and bounds its stream.
func (x *exchange) expire() {
	x.life.end(context.DeadlineExceeded)
	if x.request.ProtoMajor != 2 {
		return
	}
	x.handling.Lock()
	defer x.handling.Unlock()
	if x.handled || !errors.Is(x.life.Err(), context.DeadlineExceeded) {
		return
	}
	rc, deadline := http.NewResponseController(x.w), x.life.deadline
	if err := errors.Join(supported(rc.SetReadDeadline(deadline)), supported(rc.SetWriteDeadline(deadline.Add(timeToRefuse)))); err != nil {
		x.s.cfg.Logger.Debug("a request over its time could not be bounded", "auditID", x.auditID, "error", err)
	}
}

// endContext ends what setDeadline began, if it did. The stream is not touched any more once it has returned.
func (x *exchange) endContext() {
	if x.timer != nil && !x.timer.Stop() {
		x.handling.Lock()
		x.handled = true
		x.handling.Unlock()
	}
	if x.life.end != nil {
		x.life.end(nil)
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
