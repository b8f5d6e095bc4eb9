package backend

import (
	"net"
	"net/netip"
	"net/url"
)

// Target is where a connection goes and what it asks for there.
type Target struct {
	// What names the target in messages: kubelet of node "n1". Empty is service, as clients know it from kube-apiserver.
	What string
	// Kubelet shows this server's certificate to the target and verifies it against the authorities of kubelets.
	Kubelet bool
	// Scheme is http or https.
	Scheme string
	// Host is an address or a name. All addresses of a name have to be allowed.
	Host string
	// Port is a number or the name of a well-known port; empty is that of the scheme.
	Port string
	// ServerName is what the certificate of an https target is checked for; empty means Host.
	ServerName string
	// SkipVerify asks for a connection to a kubelet whose certificate is not verified. It is refused where [Config.Verify] is set.
	SkipVerify bool
	// NoLoopback refuses loopback addresses even where [Config.AllowLoopback] is set.
	NoLoopback bool
	// Servers are addresses of API servers, which are refused.
	Servers []netip.AddrPort

	// Path is the path of the request, decoded; RawQuery the query.
	Path, RawQuery string
}

// url is the request's address. It names the host as it was given; where the connection goes is decided when it is made.
func (t *Target) url() *url.URL {
	host := t.Host
	switch {
	case t.Port != "":
		host = net.JoinHostPort(t.Host, t.Port)
	case net.ParseIP(t.Host) != nil && net.ParseIP(t.Host).To4() == nil:
		host = "[" + t.Host + "]"
	}
	return &url.URL{Scheme: t.Scheme, Host: host, Path: t.Path, RawQuery: t.RawQuery}
}

// port is the port to connect to.
func (t *Target) port() string {
	switch {
	case t.Port != "":
		return t.Port
	case t.Scheme == "https":
		return "443"
	}
	return "80"
}

// what names the target for a client.
func (t *Target) what() string {
	if t.What == "" {
		return "service"
	}
	return t.What
}

// Streams are the streams of a process that a client asks for.
type Streams struct{ Stdin, Stdout, Stderr, TTY bool }
