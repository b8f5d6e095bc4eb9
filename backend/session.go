package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errIdle is why a session ended on which nothing was sent for too long.
var errIdle = errors.New("nothing was sent either way for too long")

// session is one connection of a client to a backend.
type session struct {
	p       *Proxy
	t       *Target
	w       http.ResponseWriter
	control *http.ResponseController
	started func(code int)
	upgrade bool        // the client wants to change protocols
	sending atomic.Bool // the answer has begun
	reading atomic.Bool // the client sends a body

	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   *time.Timer
	ended  sync.WaitGroup // of what runs when ctx ends
	stop   func() bool
}

// begin starts a session. The deadlines that the connection had so far are lifted: from here on the idle time bounds it. started is told
// the code of the answer when that is sent. The caller ends the session.
func (p *Proxy) begin(ctx context.Context, w http.ResponseWriter, t *Target, started func(int)) *session {
	s := &session{p: p, t: t, w: w, control: http.NewResponseController(w), started: started}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.idle = time.AfterFunc(p.cfg.IdleTimeout, func() { s.cancel(errIdle) })
	// A connection without deadlines needs none lifted; a hijacked one is closed instead.
	_, _ = s.control.SetReadDeadline(time.Time{}), s.control.SetWriteDeadline(time.Time{})
	s.ended.Add(1)
	s.stop = context.AfterFunc(s.ctx, s.cutOff)
	return s
}

// cutOff ends the reads and writes that the handler waits in. A connection on which nothing was sent is left fit for an error.
func (s *session) cutOff() {
	defer s.ended.Done()
	if s.sending.Load() {
		_ = s.control.SetWriteDeadline(time.Now())
	}
	if s.reading.Load() {
		_ = s.control.SetReadDeadline(time.Now())
	}
}

// end stops what the session runs. The client's connection is not touched any more when it returns.
func (s *session) end() {
	s.idle.Stop()
	if s.stop() {
		s.ended.Done()
	}
	s.ended.Wait()
	s.cancel(nil)
}

// touch notes that something was sent.
func (s *session) touch() { s.idle.Reset(s.p.cfg.IdleTimeout) }

// closing closes c when the session's context ends. The caller calls release when it has closed c itself.
func (s *session) closing(c io.Closer) (release func() bool) {
	return context.AfterFunc(s.ctx, func() { _ = c.Close() })
}

// clientConn is a hijacked connection of a client that keeps the session alive while something is sent on it. It has no CloseWrite: when
// one direction ends, the session does.
type clientConn struct {
	net.Conn
	s *session
}

func (c *clientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.s.touch()
	return n, err
}

func (c *clientConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.s.touch()
	return n, err
}

// body is the body of a client's request, likewise.
type body struct {
	io.ReadCloser
	s *session
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.s.touch()
	return n, err
}

// duplex is what a backend's answer to an upgrade is read from and written to, without the CloseWrite that it may have.
type duplex struct{ io.ReadWriteCloser }

// pipe copies both ways until one of them ends, or the session does, and closes both.
func (s *session) pipe(client, backend io.ReadWriteCloser) {
	defer s.closing(client)()
	defer s.closing(backend)()
	var copying sync.WaitGroup
	for _, way := range [][2]io.ReadWriteCloser{{client, backend}, {backend, client}} {
		copying.Go(func() {
			defer func() { _, _ = client.Close(), backend.Close() }()
			// Which of the two failed first, and how, is of no use to anybody: the client is gone or sees its end.
			_, _ = io.Copy(way[0], way[1])
		})
	}
	copying.Wait()
}
