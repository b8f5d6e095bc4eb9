// Package gather sends what is written to a connection in fewer and larger pieces.
package gather

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// The answer to a GET over HTTP/2 is three frames (the header, the object, an empty one for the end), and net/http hands each to TLS as soon as
// it has it: three calls into the kernel, each of which goes down the whole of TCP and wakes the client, a sixth of what a GET
// costs the server. A connection of this package takes the bytes and returns, and a goroutine that lives as long as there are any
// passes them on. It lets the goroutines that can run go first, which is when the frames behind the first one arrive, those of other
// answers among them. A server that has nothing else to do sends at once.
//
// The rejected alternatives are a timer, by which the only client of an idle server would wait for nothing; gathering above TLS, which saves
// records too but needs an HTTP/2 server that takes another connection than a *tls.Conn, which that of net/http does not;
// and a goroutine for each connection, which thousands of idle watches would pay for.
//
// The price: a copy of the bytes, a goroutine for each piece, up to two buffers for a connection whose peer reads slowly, and that
// Write reports an error of the one before it. What HTTP/2 and TLS read into a successful Write is no more than what the kernel's own buffer
// allows: that the bytes are on their way.

const (
	// size is how much waits to be sent at most; as much again may be under way.
	size = 32 << 10
	// linger is how long a closed connection goes on sending what had been written.
	linger = 500 * time.Millisecond
)

// A Pool makes connections that share their buffers.
type Pool struct {
	stall   time.Duration
	buffers sync.Pool // of *[]byte with the capacity size
}

// NewPool returns a pool. A peer that takes no byte for as long as stall loses its connection.
func NewPool(stall time.Duration) *Pool {
	return &Pool{stall: stall, buffers: sync.Pool{New: func() any {
		b := make([]byte, 0, size)
		return &b
	}}}
}

// Conn returns a connection over c, which it owns from now on. While more than 32 KiB wait to be sent, Write waits, no longer
// than its deadline. The deadline does not hold for what Write has taken: that is sent as long as the peer takes any of it in time. Close returns at
// once; what was written before goes on being sent for half a second at most, and c is closed then.
func (p *Pool) Conn(c net.Conn) net.Conn {
	g := &conn{Conn: c, pool: p}
	g.changed.L = &g.mu
	return g
}

type conn struct {
	net.Conn
	pool *Pool

	mu       sync.Mutex // guards the fields below and the write deadline of Conn
	changed  sync.Cond
	waiting  *[]byte // what is to be sent next; nil when there is nothing
	sending  bool    // send is running
	deadline time.Time
	closeBy  time.Time // zero until Close
	err      error     // why nothing is sent any more
}

// Write takes b to be sent. Bytes that it has taken count even if it fails.
func (c *conn) Write(b []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := c.refusal(); err != nil {
			return n, err
		}
		n += c.take(b[n:])
		if n == len(b) {
			return n, nil
		}
		c.wait()
	}
}

// refusal is why nothing can be written now.
func (c *conn) refusal() error {
	switch {
	case c.err != nil:
		return c.err
	case !c.closeBy.IsZero():
		return net.ErrClosed
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// take copies as much as there is room for.
func (c *conn) take(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if c.waiting == nil {
		c.waiting = c.pool.buffers.Get().(*[]byte)
	}
	n := min(len(b), size-len(*c.waiting))
	*c.waiting = append(*c.waiting, b[:n]...)
	if !c.sending {
		c.sending = true
		go c.send()
	}
	return n
}

// wait returns when there may be room, or the deadline is over.
func (c *conn) wait() {
	if !c.deadline.IsZero() {
		timer := time.AfterFunc(time.Until(c.deadline), func() {
			c.mu.Lock() // Without it, the call could come between the look at the clock and Wait.
			defer c.mu.Unlock()
			c.changed.Broadcast()
		})
		defer timer.Stop()
	}
	c.changed.Wait()
}

// send passes on what is waiting until there is nothing.
func (c *conn) send() {
	for {
		runtime.Gosched()
		b := c.next()
		if b == nil {
			return
		}
		err := c.pass(*b)
		*b = (*b)[:0]
		c.pool.buffers.Put(b)
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// next returns what is to be sent, or nil at the end. The last one out closes the door.
func (c *conn) next() *[]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.waiting
	if b != nil {
		c.waiting = nil
		c.changed.Broadcast()
		return b
	}
	c.sending = false
	if !c.closeBy.IsZero() {
		c.err = errors.Join(net.ErrClosed, c.Conn.Close())
	}
	return nil
}

// pass writes b, however slowly the peer takes it, unless it takes nothing at all.
func (c *conn) pass(b []byte) error {
	for len(b) > 0 {
		if err := c.bound(); err != nil {
			return err
		}
		n, err := c.Conn.Write(b)
		b = b[n:]
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// bound limits the next write to Conn.
func (c *conn) bound() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := time.Now().Add(c.pool.stall)
	if !c.closeBy.IsZero() {
		until = c.closeBy
	}
	return c.Conn.SetWriteDeadline(until)
}

// fail ends the connection: whoever reads from it or writes to it learns of it.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = false
	if c.waiting != nil {
		*c.waiting = (*c.waiting)[:0]
		c.pool.buffers.Put(c.waiting)
		c.waiting = nil
	}
	c.err = errors.Join(err, c.Conn.Close())
	c.changed.Broadcast()
}

// Read reads from the connection.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.closed() {
		err = net.ErrClosed // and not that Close has set a deadline
	}
	return n, err
}

func (c *conn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closeBy.IsZero()
}

// Close ends reading and writing. Further calls only say that it is closed.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closeBy.IsZero() {
		return net.ErrClosed
	}
	c.closeBy = time.Now().Add(linger)
	c.changed.Broadcast()
	switch {
	case c.sending:
		_, _ = c.Conn.SetReadDeadline(time.Unix(1, 0)), c.Conn.SetWriteDeadline(c.closeBy) // A connection that refuses them has ended.
		return nil
	case c.err != nil: // and closed
		return nil
	}
	return c.Conn.Close()
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is that of the connection below, until Close.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closeBy.IsZero() {
		return net.ErrClosed
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline bounds calls of Write, one that is under way too.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closeBy.IsZero() {
		return net.ErrClosed
	}
	c.deadline = t
	c.changed.Broadcast()
	return nil
}
