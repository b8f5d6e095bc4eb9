package backend

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	client "k8s.io/client-go/tools/remotecommand"

	"github.com/gatehouse/gatehouse/api"
)

// Version 5 of the protocol: each message begins with the number of its channel (0 standard input, 1 output, 2 errors, 3 the outcome,
// 4 sizes of the terminal). A message of 255 and a number closes that channel.

const (
	// goodbye bounds the writing of the messages that end a WebSocket.
	goodbye = 5 * time.Second
	// maxSize bounds a message about the size of a terminal, in bytes.
	maxSize = 1 << 10
	// closeSignal is the first byte of a message that closes a channel.
	closeSignal = 255
)

// channels is a client's WebSocket.
type channels struct {
	s     *session
	conn  *websocket.Conn
	stdin *io.PipeReader
	input *io.PipeWriter
	sizes chan client.TerminalSize // the latest one only
	done  chan struct{}            // closed when the client has left

	mu    sync.Mutex // guards writing to conn, and frame
	frame []byte
}

// upgradeSocket answers the handshake with one of the protocols. Any origin will do, as for all WebSockets here: no cookie is a credential.
func (s *session) upgradeSocket(r *http.Request, protocols []string) (*websocket.Conn, error) {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: goodbye, Subprotocols: protocols,
		CheckOrigin: func(*http.Request) bool { return true },
		Error:       func(http.ResponseWriter, *http.Request, int, error) {},
	}
	conn, err := upgrader.Upgrade(&answer{s: s, header: http.Header{}}, r, nil)
	if err != nil {
		return nil, api.BadRequest("the WebSocket handshake failed").Wrap(err)
	}
	return conn, nil
}

// openChannels upgrades the connection and tells the client so by an empty message.
func (s *session) openChannels(r *http.Request, streams Streams) (*channels, error) {
	conn, err := s.upgradeSocket(r, []string{remotecommand.StreamProtocolV5Name})
	if err != nil {
		return nil, err
	}
	c := &channels{s: s, conn: conn, sizes: make(chan client.TerminalSize, 1), done: make(chan struct{})}
	c.stdin, c.input = io.Pipe()
	go c.read(streams)
	first := byte(remotecommand.StreamErr)
	switch {
	case streams.Stdout:
		first = remotecommand.StreamStdOut
	case streams.Stderr:
		first = remotecommand.StreamStdErr
	}
	if _, err := (channelWriter{c, first}).Write(nil); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// read takes what the client sends until it leaves, which ends the session.
func (c *channels) read(streams Streams) {
	defer close(c.done)
	defer c.s.cancel(errors.New("the client has left"))
	defer func() { _ = c.input.Close() }()
	for {
		_, message, err := c.conn.NextReader()
		if err != nil {
			return
		}
		var head [2]byte
		if _, err := io.ReadFull(message, head[:1]); err != nil {
			continue // An empty message says nothing.
		}
		switch head[0] {
		case closeSignal:
			if _, err := io.ReadFull(message, head[1:]); err == nil && head[1] == remotecommand.StreamStdIn {
				_ = c.input.Close()
			}
		case remotecommand.StreamStdIn:
			if streams.Stdin {
				// When nobody reads any more, the rest is passed over.
				_, _ = io.Copy(c.input, message)
			}
		case remotecommand.StreamResize:
			c.resize(message)
		}
	}
}

// resize keeps the latest size.
func (c *channels) resize(message io.Reader) {
	var size client.TerminalSize
	if json.NewDecoder(io.LimitReader(message, maxSize)).Decode(&size) != nil {
		return
	}
	select {
	case <-c.sizes:
	default:
	}
	c.sizes <- size // There is room: nobody else sends.
}

// Next implements the library's queue of sizes; nil ends it.
func (c *channels) Next() *client.TerminalSize {
	select {
	case size := <-c.sizes:
		return &size
	case <-c.s.ctx.Done():
		return nil
	}
}

// channelWriter writes to one channel.
type channelWriter struct {
	c *channels
	n byte
}

// Write sends b as one message.
func (w channelWriter) Write(b []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.frame = append(append(w.c.frame[:0], w.n), b...)
	if err := w.c.conn.WriteMessage(websocket.BinaryMessage, w.c.frame); err != nil {
		return 0, err
	}
	return len(b), nil
}

// tell sends the outcome.
func (c *channels) tell(status metav1.Status) {
	text, err := json.Marshal(&status)
	if err != nil {
		return // Not reachable: a Status holds nothing that cannot be written.
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(goodbye))
	// A client that is gone cannot be told.
	_, _ = channelWriter{c, remotecommand.StreamErr}.Write(text)
}

// close says goodbye and waits for the reader.
func (c *channels) close() {
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(goodbye))
	_ = c.conn.Close()
	_ = c.stdin.Close() // A reader that waits for somebody to take input would wait for ever.
	<-c.done
}
