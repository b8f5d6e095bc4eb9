package backend

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
	"k8s.io/apimachinery/pkg/util/portforward"
	client "k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/gatehouse/gatehouse/api"
)

// tunnelled is the SPDY protocol that a WebSocket protocol carries, empty if it carries none.
func tunnelled(protocol string) string {
	inner, ok := strings.CutPrefix(protocol, portforward.WebsocketsSPDYTunnelingPrefix)
	if !ok || !strings.HasSuffix(inner, portforward.KubernetesSuffix) {
		return ""
	}
	return inner
}

// WantsTunnel reports whether the request asks for SPDY inside a WebSocket.
func WantsTunnel(r *http.Request) bool {
	return strings.EqualFold(upgradeOf(r.Header), "websocket") && offers(r, func(p string) bool { return tunnelled(p) != "" })
}

// Tunnel connects a client that sends SPDY inside a WebSocket to the target, a kubelet, that speaks it bare. The kubelet is asked
// first: what it refuses is the answer.
func (p *Proxy) Tunnel(w http.ResponseWriter, r *http.Request, t Target, started func(code int)) error {
	s := p.begin(r.Context(), w, &t, started)
	defer s.end()
	s.upgrade = true
	header := forwarded(r)
	for _, protocol := range websocket.Subprotocols(r) {
		if inner := tunnelled(protocol); inner != "" {
			header.Add(httpstream.HeaderProtocolVersion, inner)
		}
	}
	to := &connector{s: s, header: header}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, t.url().String(), nil)
	if err != nil {
		return api.Internal(err)
	}
	res, err := to.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if to.conn == nil {
		return s.passOn(res)
	}
	defer func() { _ = to.conn.Close() }()
	var chosen []string
	if inner := strings.TrimSpace(res.Header.Get(httpstream.HeaderProtocolVersion)); inner != "" {
		chosen = []string{portforward.WebsocketsSPDYTunnelingPrefix + inner}
	}
	conn, err := s.upgradeSocket(r, chosen)
	if err != nil {
		return err
	}
	s.pipe(client.NewTunnelingConnection("server", conn), to.conn)
	return nil
}

// passOn answers with what the target said instead of changing protocols.
func (s *session) passOn(res *http.Response) error {
	if res.StatusCode < http.StatusBadRequest {
		return plain(fmt.Sprintf("invalid upgrade response: status code %d", res.StatusCode))
	}
	withoutHarm(res.Header)
	out := &answer{s: s, header: http.Header{}, final: true}
	if kind := res.Header.Get("Content-Type"); kind != "" {
		out.header.Set("Content-Type", kind)
	}
	out.WriteHeader(res.StatusCode)
	if _, err := io.Copy(out, io.LimitReader(res.Body, maxErrorText)); err != nil {
		return fmt.Errorf("send the answer of %s: %w", s.t.what(), err)
	}
	return nil
}
