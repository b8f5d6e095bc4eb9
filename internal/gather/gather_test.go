package gather_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/gatehouse/gatehouse/internal/gather"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stall = 30 * time.Second

// TestConn asks of a pair of connections what every net.Conn promises.
func TestConn(t *testing.T) {
	pool := gather.NewPool(stall)
	for name, dial := range map[string]func(t *testing.T) (net.Conn, net.Conn){
		"over TCP":    tcpPipe,
		"over a pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := dial(t)
				ours, theirs := pool.Conn(a), pool.Conn(b)
				return ours, theirs, func() { _, _, _, _ = ours.Close(), theirs.Close(), a.Close(), b.Close() }, nil
			})
		})
	}
}

// tcpPipe returns both ends of a connection.
func tcpPipe(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// counted is one end of a pipe that remembers the sizes of what is written to it.
type counted struct {
	net.Conn
	sizes []int
}

func (c *counted) Write(b []byte) (int, error) {
	c.sizes = append(c.sizes, len(b))
	return c.Conn.Write(b)
}

// TestPieces sees how what is written becomes pieces while the first one is under way.
func TestPieces(t *testing.T) {
	const size = 32 << 10
	for name, test := range map[string]struct {
		writes []int
		want   []int
	}{
		"one write":                      {[]int{100}, []int{100}},
		"what comes meanwhile goes once": {[]int{65, 5048, 31, 65, 5048, 31}, []int{65, 5048 + 31 + 65 + 5048 + 31}},
		"more than there is room for":    {[]int{10, size + 7}, []int{10, size, 7}},
		"exactly what there is room for": {[]int{10, size, size}, []int{10, size, size}},
		"nothing":                        {[]int{0}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				below := &counted{Conn: near}
				conn := gather.NewPool(stall).Conn(below)
				var sent bytes.Buffer
				go func() {
					for i, n := range test.writes {
						piece := bytes.Repeat([]byte{byte('a' + i)}, n)
						sent.Write(piece)
						if got, err := conn.Write(piece); got != n || err != nil {
							t.Errorf("Write of %d bytes: %d, %v", n, got, err)
						}
						time.Sleep(time.Millisecond) // of the bubble: the piece is under way
					}
					if err := conn.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}()
				time.Sleep(100 * time.Millisecond) // of the bubble: the first piece is under way, and the rest waits as far as there is room
				got, err := io.ReadAll(far)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, sent.Bytes()) {
					t.Errorf("%d bytes arrived that are not the %d written", len(got), sent.Len())
				}
				if diff := cmp.Diff(test.want, below.sizes); diff != "" {
					t.Errorf("pieces (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPeerThatTakesNothing loses its connection when the stall is over: the writer and the reader of this end learn of it.
func TestPeerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		conn := gather.NewPool(stall).Conn(near)
		began := time.Now()
		go func() {
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("Read: no error")
			}
		}()
		if _, err := conn.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %v, want that the time is over", err)
		}
		if got := time.Since(began); got != stall {
			t.Errorf("ended after %v, want %v", got, stall)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write after it: %v, want the same error", err)
		}
		if err := conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// TestSlowPeer keeps its connection as long as it takes anything at all.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		conn := gather.NewPool(stall).Conn(near)
		defer conn.Close()
		if _, err := conn.Write(make([]byte, 100)); err != nil {
			t.Errorf("Write: %v", err)
		}
		for range 100 {
			time.Sleep(stall - time.Second)
			if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
				t.Fatalf("Read: %v", err)
			}
		}
	})
}

// TestDeadlineOfWrite wakes a call that waits for room, and leaves alone what had been taken.
func TestDeadlineOfWrite(t *testing.T) {
	for name, set := range map[string]func(net.Conn) error{
		"set before":         func(c net.Conn) error { return c.SetWriteDeadline(time.Now().Add(time.Second)) },
		"set while it waits": func(c net.Conn) error { go lateDeadline(c); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				conn := gather.NewPool(stall).Conn(near)
				if err := set(conn); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				taken, err := conn.Write(make([]byte, 1<<20))
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Write: %v, want that the time is over", err)
				}
				if got := time.Since(began); got != time.Second {
					t.Errorf("ended after %v, want 1s", got)
				}
				if err := conn.SetWriteDeadline(time.Time{}); err != nil {
					t.Fatal(err)
				}
				go func() {
					defer conn.Close()
					if _, err := conn.Write([]byte("end")); err != nil {
						t.Errorf("Write without a deadline: %v", err)
					}
				}()
				got, err := io.ReadAll(far)
				if err != nil || len(got) != taken+len("end") {
					t.Errorf("%d bytes arrived, %v; want %d", len(got), err, taken+len("end"))
				}
			})
		})
	}
}

func lateDeadline(c net.Conn) {
	time.Sleep(time.Second)
	_ = c.SetWriteDeadline(time.Unix(1, 0))
}

// TestClose does not wait: what was written arrives if the peer takes it soon, and else the connection ends without it.
func TestClose(t *testing.T) {
	for name, test := range map[string]struct {
		after time.Duration // the peer reads
		want  string
	}{
		"a peer that reads":   {0, "goodbye"},
		"a peer that is slow": {400 * time.Millisecond, "goodbye"},
		"a peer that is gone": {time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				conn := gather.NewPool(stall).Conn(near)
				if _, err := conn.Write([]byte("goodbye")); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				read := make(chan error, 1)
				go func() {
					_, err := conn.Read(make([]byte, 1))
					read <- err
				}()
				synctest.Wait()
				if err := conn.Close(); err != nil || time.Since(began) != 0 {
					t.Errorf("Close: %v after %v", err, time.Since(began))
				}
				if err := <-read; !errors.Is(err, net.ErrClosed) || time.Since(began) != 0 {
					t.Errorf("Read: %v after %v, want that it is closed at once", err, time.Since(began))
				}
				if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write: %v, want that it is closed", err)
				}
				if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a second Close: %v, want that it is closed", err)
				}
				time.Sleep(test.after)
				got, err := io.ReadAll(far)
				if string(got) != test.want || err != nil {
					t.Errorf("%q arrived, %v; want %q", got, err, test.want)
				}
			})
		})
	}
}
