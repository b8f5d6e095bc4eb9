package server

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// A watch can be had over a WebSocket, one event in each message: as text in JSON, as binary in protobuf. What a client sends is read so
// that pings are answered and its leaving is noticed, and is otherwise ignored. It exists over HTTP/1.1 only; the upgrade takes the
// connection off net/http, so the handler owns it to its end.
//
// A browser sends no Authorization header with a WebSocket. It passes the token as a subprotocol instead, which is taken off the request
// before anything is recorded. Origins are checked as in the reference: there has to be one and it has to be a URL, and any will do,
// since no cookie or other ambient credential of a browser counts here but a client certificate.

const (
	// maxSocketMessage bounds a message of the client, in bytes; it has nothing to say.
	maxSocketMessage = 4 << 10
	// socketGoodbye bounds the writing of the message that ends a WebSocket.
	socketGoodbye = 5 * time.Second
	// protocolToken begins the subprotocol that carries a bearer token as base64url without padding.
	protocolToken = "base64url.bearer.authorization.k8s.io."
)

// wantsSocket reports whether the request asks for a WebSocket.
func wantsSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade")
}

// takeProtocolToken moves a bearer token from the subprotocols of a WebSocket to the Authorization header, where authentication looks
// for it. A header that is already there wins. A subprotocol that is no token, or the only one, is a 401: passing over it would let a
// failed login pass as none.
func takeProtocolToken(r *http.Request) error {
	lines := r.Header.Values("Sec-Websocket-Protocol")
	if len(lines) == 0 || !wantsSocket(r) {
		return nil
	}
	token, rest, err := bearerFromProtocols(strings.Join(lines, ","))
	if err != nil {
		delete(r.Header, "Sec-Websocket-Protocol")
		return api.Unauthorized(err)
	}
	if token == "" {
		return nil
	}
	r.Header.Set("Sec-Websocket-Protocol", rest)
	if len(r.Header.Values("Authorization")) == 0 {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// bearerFromProtocols splits a list of subprotocols into the token, empty if there is none, and the others.
func bearerFromProtocols(list string) (token, rest string, err error) {
	var others []string
	found := false
	for protocol := range strings.SplitSeq(list, ",") {
		protocol = strings.TrimSpace(protocol)
		encoded, ok := strings.CutPrefix(protocol, protocolToken)
		if !ok {
			others = append(others, protocol)
			continue
		}
		if found {
			return "", "", errors.New("two subprotocols carry a token")
		}
		found = true
		decoded, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil || !utf8.Valid(decoded) {
			return "", "", errors.New("the subprotocol that carries a token is not base64url of text")
		}
		token = string(decoded)
	}
	if token != "" && len(others) == 0 {
		return "", "", errors.New("there is no subprotocol besides the one that carries the token")
	}
	return token, strings.Join(others, ","), nil
}

// checkSocket refuses a handshake before anything is done for it.
func checkSocket(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if _, err := url.ParseRequestURI(origin); origin == "" || err != nil {
		return originRefused()
	}
	if strings.Contains(strings.Join(r.Header.Values("Sec-Websocket-Protocol"), ","), ",") {
		return api.BadRequest("bad WebSocket protocol: there is more than one to choose from")
	}
	return nil
}

// originRefused is a 403 that says nothing about rights.
func originRefused() error {
	return &api.Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Message: "a WebSocket needs an Origin that is a URL", Details: &metav1.StatusDetails{},
	}}
}

// socket is the connection of a watch.
type socket struct {
	conn *websocket.Conn
	kind int           // of the messages
	gone chan struct{} // closed when the client has left
}

// openSocket upgrades the connection. cancel is called when the client leaves.
func (c *call) openSocket(cancel context.CancelFunc) (*socket, error) {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: socketGoodbye,
		CheckOrigin:      func(*http.Request) bool { return true }, // See checkSocket.
		Error:            func(http.ResponseWriter, *http.Request, int, error) {},
	}
	if protocol := c.r.Header.Get("Sec-Websocket-Protocol"); protocol != "" {
		upgrader.Subprotocols = []string{strings.TrimSpace(protocol)}
	}
	conn, err := upgrader.Upgrade(c.w, c.r, c.w.Header())
	if err != nil {
		return nil, api.BadRequest("the WebSocket handshake failed").Wrap(err)
	}
	s := &socket{conn: conn, kind: websocket.TextMessage, gone: make(chan struct{})}
	if c.format.media == mediaProtobuf {
		s.kind = websocket.BinaryMessage
	}
	conn.SetReadLimit(maxSocketMessage)
	go s.read(cancel)
	return s, nil
}

// read takes what the client sends, until it leaves or the connection is closed.
func (s *socket) read(cancel context.CancelFunc) {
	defer close(s.gone)
	defer cancel()
	for {
		if _, _, err := s.conn.NextReader(); err != nil {
			return
		}
	}
}

// send writes one event.
func (s *socket) send(event []byte) error {
	if len(event) == 0 {
		return nil
	}
	if s.kind == websocket.BinaryMessage {
		event = event[frameLength:] // A message knows its own length.
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(watchWrite)); err != nil {
		return fmt.Errorf("set a deadline of the WebSocket: %w", err)
	}
	return s.conn.WriteMessage(s.kind, event)
}

// close says goodbye and waits for the reader.
func (s *socket) close() {
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	// A client that is gone cannot be told; closing is all that is left in any case.
	_ = s.conn.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(socketGoodbye))
	_ = s.conn.Close()
	<-s.gone
}
