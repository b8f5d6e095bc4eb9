package backend

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"path"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/api"
)

// flushInterval is how long a part of an answer of known length may wait for more; without a length nothing waits.
const flushInterval = 200 * time.Millisecond

// Forward sends the request to the target and its answer back, also after a change of protocol that both want. Upgrades that the
// target does not do as asked end with an error, and what the client sends after such a request is never passed on.
//
// mustUpgrade refuses requests that do not ask for another protocol. Otherwise the answer's links are made to lead through this
// server, as kube-apiserver makes them; prefix is the path on this server that stands for the target's root.
//
// An error before anything was sent is an [*api.Error] for the client; one after that means that the answer is not whole.
func (p *Proxy) Forward(w http.ResponseWriter, r *http.Request, t Target, prefix string, mustUpgrade bool, started func(code int)) error {
	wanted := upgradeOf(r.Header)
	if mustUpgrade && wanted == "" {
		return api.BadRequest("Upgrade request required")
	}
	s := p.begin(r.Context(), w, &t, started)
	defer s.end()
	s.upgrade = wanted != ""
	var failure error
	out := &answer{s: s, header: http.Header{}, final: s.upgrade && r.ProtoMajor == 1}
	proxy := httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { s.rewrite(pr, prefix, mustUpgrade) },
		Transport:      s.transport(),
		FlushInterval:  flushInterval,
		ModifyResponse: func(res *http.Response) error { return s.examine(res, wanted) },
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { failure = err },
		ErrorLog:       log.New(io.Discard, "", 0), // It says that one of the two went away.
	}
	if !mustUpgrade && wanted == "" {
		proxy.Transport = &linker{next: proxy.Transport, prefix: prefix}
	}
	r = r.WithContext(s.ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{r.Body, s}
		s.reading.Store(true)
	}
	proxy.ServeHTTP(out, r)
	switch {
	case failure == nil:
		return nil
	case out.began:
		return fmt.Errorf("proxy to %s: %w", t.what(), failure)
	case out.final:
		w.Header().Set("Connection", "close") // What the client has sent by now was not meant for this server.
	}
	return s.failed(failure)
}

// rewrite makes the request to the target of the client's.
func (s *session) rewrite(pr *httputil.ProxyRequest, prefix string, kubelet bool) {
	pr.Out.URL = s.t.url()
	if pr.Out.URL.Path == "" {
		pr.Out.URL.Path = "/"
	}
	pr.Out.Host = pr.In.Host
	withoutIdentity(pr.Out.Header)
	// What the client says about proxies before this one is a claim, and the last address is this server's word for it.
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded()
	pr.Out.Header.Del("X-Forwarded-Host")
	pr.Out.Header.Del("X-Forwarded-Proto")
	if !kubelet && !s.upgrade {
		uri := path.Join(prefix, pr.Out.URL.EscapedPath())
		if strings.HasSuffix(pr.Out.URL.Path, "/") {
			uri += "/"
		}
		pr.Out.Header.Set("X-Forwarded-Uri", uri)
		if strings.Contains(pr.In.Header.Get("Accept"), "text/html") {
			pr.Out.Header.Del("Accept-Encoding") // Links are only found in plain text.
		}
	}
}

// examine looks at the answer before any of it is sent.
func (s *session) examine(res *http.Response, wanted string) error {
	withoutHarm(res.Header)
	switch {
	case res.StatusCode != http.StatusSwitchingProtocols && (wanted == "" || res.StatusCode >= http.StatusBadRequest):
		return nil
	case res.StatusCode != http.StatusSwitchingProtocols:
		return plain(fmt.Sprintf("invalid upgrade response: status code %d", res.StatusCode))
	case wanted == "" || !strings.EqualFold(upgradeOf(res.Header), wanted):
		return plain("invalid upgrade response: the backend changed to a protocol that was not asked for")
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return api.Internal(errors.New("the connection of an upgrade cannot be written to"))
	}
	res.Body = duplex{conn}
	return nil
}

// upgradeOf is the protocol that a message wants to change to, empty if it does not.
func upgradeOf(h http.Header) string {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "Upgrade") {
				return h.Get("Upgrade")
			}
		}
	}
	return ""
}
