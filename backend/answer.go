package backend

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"
)

// answer is the client's response as the reverse proxy sees it. The header of a backend is gathered apart from that of this server until
// it is sent: informational answers of a backend must not clear what the server has set, and a backend's header replaces the server's
// instead of standing beside it.
type answer struct {
	s      *session
	header http.Header
	final  bool // the connection ends with the answer
	began  bool
}

// Header is that of the backend until it is sent, and what is sent afterwards, for trailers.
func (a *answer) Header() http.Header {
	if a.began {
		return a.s.w.Header()
	}
	return a.header
}

// WriteHeader sends the header once. Informational answers are not passed on.
func (a *answer) WriteHeader(code int) {
	if a.began || code < http.StatusOK {
		return
	}
	a.began = true
	if a.s.sending.Store(true); a.s.ctx.Err() != nil {
		_ = a.s.control.SetWriteDeadline(time.Now()) // The session was cut off at this moment.
	}
	maps.Copy(a.s.w.Header(), a.header)
	if a.final {
		a.s.w.Header().Set("Connection", "close")
	}
	a.s.w.WriteHeader(code)
	a.s.started(code)
}

// Write sends a part of the body.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	n, err := a.s.w.Write(b)
	a.s.touch()
	return n, err
}

// FlushError sends what is buffered.
func (a *answer) FlushError() error {
	a.WriteHeader(http.StatusOK)
	return a.s.control.Flush()
}

// Hijack hands over the connection, without deadlines and closed when the session ends.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := a.s.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.began = true
	client := &clientConn{Conn: conn, s: a.s}
	a.s.closing(conn)
	a.s.started(http.StatusSwitchingProtocols)
	return client, rw, nil
}

// harmful are headers by which a backend would speak for this server's whole origin: rules of other origins, which kube-apiserver takes
// off too, and what browsers remember about a host.
func harmful() []string {
	return []string{
		"Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
		"Alt-Svc", "Clear-Site-Data", "Public-Key-Pins", "Strict-Transport-Security", "Audit-Id",
	}
}

// withoutHarm takes what a backend must not say out of the header of its answer.
func withoutHarm(h http.Header) {
	for _, name := range harmful() {
		h.Del(name)
	}
}

// withoutIdentity takes what says who the client is off a request to a backend. The server has done so with what it understands; this is
// for what a backend might, with underscores as some read them.
func withoutIdentity(h http.Header) {
	for name := range h {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch {
		case plain == "authorization", plain == "proxy-authorization", plain == "audit-id",
			strings.HasPrefix(plain, "impersonate-"), strings.HasPrefix(plain, "x-remote-"):
			delete(h, name)
		}
	}
}
