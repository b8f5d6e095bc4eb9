package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// pingEvery keeps a stream alive through middle boxes while nothing else is sent, as kube-apiserver does.
const pingEvery = 5 * time.Second

// spdyProtocol is the protocol that kubelets stream in.
const spdyProtocol = spdy.HeaderSpdy31

// connector opens the SPDY connection of a session for the library that speaks it. The library's own would read an answer of any size and
// wait for it for ever.
type connector struct {
	s       *session
	header  http.Header // of the request
	conn    io.ReadWriteCloser
	failure error // why there is no connection; the library keeps only the text
}

// RoundTrip asks for the change of protocol.
func (c *connector) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", spdyProtocol)
	res, err := c.s.transport().RoundTrip(r)
	if err != nil {
		c.failure = c.s.failed(err)
		return nil, c.failure
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return res, nil
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(upgradeOf(res.Header), spdyProtocol) {
		_ = res.Body.Close()
		c.failure = plain("unable to upgrade connection: the backend changed to a protocol that was not asked for")
		return nil, c.failure
	}
	c.conn, res.Body = conn, http.NoBody
	return res, nil
}

// NewConnection speaks SPDY on the connection, or says why there is none. The session's end closes it.
func (c *connector) NewConnection(res *http.Response) (httpstream.Connection, error) {
	if c.conn == nil {
		said, err := io.ReadAll(io.LimitReader(res.Body, maxErrorText))
		if err != nil {
			return nil, c.refused("unable to read error from server response")
		}
		return nil, c.refused(upgradeError(res.StatusCode, said))
	}
	c.s.closing(c.conn)
	return spdy.NewClientConnectionWithPings(streamConn{c.conn}, pingEvery)
}

func (c *connector) refused(why string) error {
	c.failure = internal(fmt.Errorf("unable to upgrade connection: %s", why))
	return c.failure
}

// upgradeError is what a backend says about an upgrade that it refuses.
func upgradeError(code int, said []byte) string {
	var status struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	text := strings.TrimSpace(string(said))
	if json.Unmarshal(said, &status) == nil {
		switch {
		case status.Message != "":
			text = status.Message
		case status.Error != "":
			text = status.Error
		}
	}
	switch {
	case code < http.StatusBadRequest:
		return fmt.Sprintf("invalid upgrade response: status code %d", code)
	case text == "":
		return "empty server response"
	}
	return reason(errors.New(text))
}

// streamConn is a connection as the SPDY library wants it. Deadlines are the session's business.
type streamConn struct{ io.ReadWriteCloser }

// Close does not say whether the session has closed it before: the library would wait a second for somebody to hear that.
func (c streamConn) Close() error {
	_ = c.ReadWriteCloser.Close()
	return nil
}

func (streamConn) LocalAddr() net.Addr              { return nowhereAddr{} }
func (streamConn) RemoteAddr() net.Addr             { return nowhereAddr{} }
func (streamConn) SetDeadline(time.Time) error      { return nil }
func (streamConn) SetReadDeadline(time.Time) error  { return nil }
func (streamConn) SetWriteDeadline(time.Time) error { return nil }

type nowhereAddr struct{}

func (nowhereAddr) Network() string { return "tcp" }
func (nowhereAddr) String() string  { return "backend" }
