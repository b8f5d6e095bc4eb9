package backend

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	utilproxy "k8s.io/apimachinery/pkg/util/proxy"
)

// maxPage bounds the HTML whose links are rewritten, in bytes: it is held in memory for that. Longer pages are passed on as they are.
const maxPage = 4 << 20

// linker makes the links in an answer lead through this server: in Location and in plain HTML. A redirect is for the client to
// follow or not.
type linker struct {
	next   http.RoundTripper
	prefix string
}

// RoundTrip implements [http.RoundTripper].
func (l *linker) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.Header.Get("Location") == "" {
		kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		if strings.TrimSpace(kind) != "text/html" || res.Header.Get("Content-Encoding") != "" || !bounded(res) {
			return res, nil
		}
	}
	// The library rewrites what a transport returns, and sets a header of the request that has been sent already.
	rewriting := utilproxy.Transport{PathPrepend: l.prefix, RoundTripper: answered{res}}
	rewritten, err := rewriting.RoundTrip(r)
	if err != nil {
		_ = res.Body.Close()
	}
	return rewritten, err
}

// bounded reads a page into memory and reports whether all of it is there.
func bounded(res *http.Response) bool {
	var page bytes.Buffer
	n, err := io.CopyN(&page, res.Body, maxPage+1)
	whole := err == io.EOF && n <= maxPage //nolint:errorlint // CopyN returns it as it is.
	rest := res.Body
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&page, rest), rest}
	return whole
}

// answered is a transport that has its answer.
type answered struct{ res *http.Response }

// RoundTrip implements [http.RoundTripper].
func (a answered) RoundTrip(*http.Request) (*http.Response, error) { return a.res, nil }
