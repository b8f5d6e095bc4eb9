package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/backend"
	"github.com/gatehouse/gatehouse/resource"
)

// Backends connects clients to what runs in the cluster; see [backend.Proxy]. An error before started was called is one for the client;
// after it, the answer is not whole. The connection is closed at both ends when a method returns.
type Backends interface {
	Log(w http.ResponseWriter, r *http.Request, t backend.Target, pod string, follow bool, started func(code int)) error
	Exec(w http.ResponseWriter, r *http.Request, t backend.Target, streams backend.Streams, started func(code int)) error
	Tunnel(w http.ResponseWriter, r *http.Request, t backend.Target, started func(code int)) error
	Forward(w http.ResponseWriter, r *http.Request, t backend.Target, prefix string, mustUpgrade bool, started func(code int)) error
}

// ConnectTo serves logs, exec, attach, port-forward and proxy by way of b. Without it they are not found.
func (s *REST) ConnectTo(b Backends) { s.backends = b }

// connects reports whether the request is for something that runs instead of an object.
func connects(info api.RequestInfo) bool {
	return info.IsResource && resource.Connects(info.Group, info.Resource, info.Subresource)
}

// streamsBody reports whether the body of the request is passed on as it comes, so that nothing here bounds its size or time.
func streamsBody(info api.RequestInfo) bool { return connects(info) && info.Subresource == "proxy" }

// createsSession reports whether the request starts something in a pod. A client starts it by GET as well as by POST, since that is what a
// WebSocket begins with, and the right to read must not be the right to run commands. A change of protocol with a kubelet by way of
// nodes/proxy is such a request too: kubelets change it for nothing else.
func createsSession(info api.RequestInfo, h http.Header) bool {
	switch {
	case !connects(info), info.Subresource == "log":
		return false
	case info.Subresource == "proxy":
		return info.Resource == "nodes" && len(h["Upgrade"]) > 0
	}
	return true
}

// connect serves a subresource that connects to what runs. The connection holds a place of its client's from before it is made.
func (c *call) connect() error {
	if c.backends == nil {
		return api.PathNotFound()
	}
	info := c.permit.Info()
	if info.Subresource == "log" {
		if err := negotiateLog(c.r.Header.Get("Accept")); err != nil {
			return err
		}
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil && info.Subresource != "proxy" {
		return api.BadRequest("the query cannot be read").Wrap(err)
	}
	to, err := c.service.Connect(c.r.Context(), c.permit, c.r.Method, query, c.r.URL.RawQuery, c.change())
	if err != nil {
		return err
	}
	if to.Nowhere {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if info.Subresource == "proxy" && to.Target.Path == "" && c.redirectToRoot() {
		return nil
	}
	release, err := c.seat.HoldStream()
	if err != nil {
		return err
	}
	defer release()
	c.seat.Release()
	return c.open(info.Subresource, to)
}

// negotiateLog refuses clients that take no log. What a log is sent as is text in any case, and yet a client has to take an object as well.
func negotiateLog(accept string) error {
	if accept == "" {
		return nil
	}
	if err := produced(accept, false, "text/plain", mediaJSON, mediaYAML, mediaProtobuf); err != nil {
		return err
	}
	if _, _, ok := choose(accept, plain); !ok {
		return notAcceptable(false)
	}
	return nil
}

// open makes the connection in the way that the client asks for.
func (c *call) open(subresource string, to resource.Connection) error {
	started := c.record.ResponseStarted
	socket := wantsSocket(c.r) && !to.TakesWebSockets
	switch {
	case subresource == "log":
		return c.backends.Log(c.w, c.r, to.Target, to.Pod, to.Follow, started)
	case subresource == "proxy":
		return c.backends.Forward(c.w, c.r, to.Target, to.Prefix, false, started)
	case subresource == "portforward" && socket && backend.WantsTunnel(c.r):
		return c.backends.Tunnel(c.w, c.r, to.Target, started)
	case subresource != "portforward" && socket && backend.WantsChannels(c.r):
		return c.backends.Exec(c.w, c.r, to.Target, to.Streams, started)
	}
	return c.backends.Forward(c.w, c.r, to.Target, "", true, started)
}

// redirectToRoot sends a browser that asks for a proxy without a path to the one with a slash, below which relative links work.
func (c *call) redirectToRoot() bool {
	if (c.r.Method != http.MethodGet && c.r.Method != http.MethodHead) || c.r.Header.Get("Upgrade") != "" {
		return false
	}
	to := c.r.URL.EscapedPath() + "/"
	if c.r.URL.RawQuery != "" {
		to += "?" + c.r.URL.RawQuery
	}
	if strings.HasPrefix(to, "//") {
		return false // It would lead to another host; no path that was parsed begins so.
	}
	c.w.Header().Set("Location", to)
	c.w.WriteHeader(http.StatusMovedPermanently)
	return true
}
