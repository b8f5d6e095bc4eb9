package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/server"
)

// socketHost is a server of real objects over HTTP/1.1, the only one that has WebSockets.
func socketHost(t *testing.T) (*host, *stages) {
	t.Helper()
	s := &stages{}
	cfg := config(t, s)
	cfg.Resources = server.NewREST(newObjects(t).Service)
	return listen(t, cfg, false), s
}

// openSocket dials a WebSocket; headers are key, value pairs. The code is that of the handshake.
func (h *host) openSocket(t *testing.T, path string, headers ...string) (*websocket.Conn, int, http.Header) {
	t.Helper()
	d := websocket.Dialer{
		NetDialContext:  func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dial(ctx) },
		TLSClientConfig: h.tls.Clone(),
	}
	header := http.Header{"Origin": {"https://gatehouse"}}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	if header.Get("Origin") == "" {
		header.Del("Origin")
	}
	conn, resp, err := d.DialContext(t.Context(), "wss://gatehouse"+path, header)
	if resp == nil {
		t.Fatalf("dial %s: %v", path, err)
	}
	if conn != nil {
		t.Cleanup(func() { conn.Close() }) //nolint:errcheck // It may be closed already.
	}
	return conn, resp.StatusCode, resp.Header
}

// event is what a watch sends.
type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

func nextEvent(t *testing.T, conn *websocket.Conn, kind int) (event, []byte) {
	t.Helper()
	got, b, err := conn.ReadMessage()
	if err != nil || got != kind {
		t.Fatalf("a message of kind %d, want %d: %v", got, kind, err)
	}
	var e event
	if kind == websocket.TextMessage {
		if err := json.Unmarshal(b, &e); err != nil || !strings.HasSuffix(string(b), "\n") {
			t.Fatalf("%s: %v", b, err)
		}
	}
	return e, b
}

func TestWatchOverSocket(t *testing.T) {
	h, _ := socketHost(t)
	h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"a"}}`)
	conn, code, _ := h.openSocket(t, configMaps+"?watch=1&allowWatchBookmarks=true")
	if code != 101 {
		t.Fatalf("handshake: %d", code)
	}
	if e, b := nextEvent(t, conn, websocket.TextMessage); e.Type != "ADDED" {
		t.Errorf("first: %s", b)
	}
	if e, b := nextEvent(t, conn, websocket.TextMessage); e.Type != "BOOKMARK" {
		t.Errorf("second: %s", b)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("what a client says is ignored")); err != nil {
		t.Fatal(err)
	}
	h.send(t, 200, "DELETE", configMaps+"/a", "")
	if e, b := nextEvent(t, conn, websocket.TextMessage); e.Type != "DELETED" || !strings.Contains(string(e.Object), `"name":"a"`) {
		t.Errorf("third: %s", b)
	}
	pong := make(chan string, 1)
	conn.SetPongHandler(func(data string) error { pong <- data; return nil })
	if err := conn.WriteMessage(websocket.PingMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	// Who reads pings is not who writes events, so some of these may come before the answer, which is read on the way to one of them.
	const most = 100
	for i := 0; len(pong) == 0 && i < most; i++ {
		h.send(t, 201, "POST", configMaps, fmt.Sprintf(`{"metadata":{"name":"b%d"}}`, i))
		nextEvent(t, conn, websocket.TextMessage)
	}
	if len(pong) == 0 {
		t.Errorf("a ping was not answered while %d events came", most)
	}
}

func TestSocketEnds(t *testing.T) {
	h, _ := socketHost(t)
	over := func(conn *websocket.Conn) error {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return err
			}
		}
	}
	var closed *websocket.CloseError
	conn, _, _ := h.openSocket(t, configMaps+"?watch=1&timeoutSeconds=1")
	if err := over(conn); !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
		t.Errorf("after its time: %v", err)
	}
	conn, _, _ = h.openSocket(t, configMaps+"?watch=1&resourceVersion=1")
	if e, b := nextEvent(t, conn, websocket.TextMessage); e.Type != "ERROR" || !strings.Contains(string(e.Object), `"code":410`) {
		t.Errorf("from the past: %s", b)
	}
	conn, _, _ = h.openSocket(t, configMaps+"?watch=1")
	if err := conn.WriteMessage(websocket.TextMessage, make([]byte, 1<<20)); err == nil && over(conn) == nil {
		t.Error("a megabyte from the client was read")
	}
	conn, _, _ = h.openSocket(t, configMaps+"?watch=1")
	if err := h.stop(); err != nil { // An open one does not outlive the server; the leak test sees its goroutines.
		t.Error(err)
	}
	if err := over(conn); err == nil {
		t.Error("it outlived the server")
	}
}

func TestSocketProtobuf(t *testing.T) {
	h, _ := socketHost(t)
	h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"a"}}`)
	conn, _, _ := h.openSocket(t, configMaps+"?watch=1", "Accept", protobufType)
	_, b := nextEvent(t, conn, websocket.BinaryMessage)
	var e metav1.WatchEvent
	if err := e.Unmarshal(b); err != nil || e.Type != "ADDED" || !strings.HasPrefix(string(e.Object.Raw), "k8s\x00") {
		t.Errorf("%q: %v", b, err)
	}
}

func TestSocketHandshake(t *testing.T) {
	h, s := socketHost(t)
	const prefix = "base64url.bearer.authorization.k8s.io."
	token := func(text string) string { return prefix + base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, tc := range []struct {
		name     string
		path     string
		headers  []string
		code     int
		protocol string
	}{
		{"without an origin", "?watch=1", []string{"Origin", ""}, 403, ""},
		{"an origin that is no URL", "?watch=1", []string{"Origin", "null"}, 403, ""},
		{"a subprotocol is repeated", "?watch=1", []string{"Sec-Websocket-Protocol", "a.b"}, 101, "a.b"},
		{"two to choose from", "?watch=1", []string{"Sec-Websocket-Protocol", "a.b, c.d"}, 400, ""},
		{"a token, which is not repeated", "?watch=1", []string{"Sec-Websocket-Protocol", token("good") + ", a.b"}, 101, "a.b"},
		{"a wrong token", "?watch=1", []string{"Sec-Websocket-Protocol", "a.b," + token("wrong")}, 401, ""},
		{"a token alone", "?watch=1", []string{"Sec-Websocket-Protocol", token("good")}, 401, ""},
		{"two tokens", "?watch=1", []string{"Sec-Websocket-Protocol", "a.b," + token("good") + "," + token("good")}, 401, ""},
		{"a token that is no base64url", "?watch=1", []string{"Sec-Websocket-Protocol", "a.b," + prefix + "+/"}, 401, ""},
		{"a bad selector", "?watch=1&fieldSelector=a%3Db", nil, 400, ""},
		{"a list is a list", "", nil, 200, ""},
	} {
		_, code, header := h.openSocket(t, configMaps+tc.path, tc.headers...)
		if code != tc.code || header.Get("Sec-Websocket-Protocol") != tc.protocol {
			t.Errorf("%s: %d with %q, want %d with %q", tc.name, code, header.Get("Sec-Websocket-Protocol"), tc.code, tc.protocol)
		}
	}
	s.refuse = "authz"
	if _, code, _ := h.openSocket(t, configMaps+"?watch=1"); code != 403 {
		t.Errorf("without rights: %d", code)
	}
}
