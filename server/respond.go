package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// warningsKey is the context key of a request's warnings.
type warningsKey struct{}

func withWarnings(ctx context.Context, w *api.Warnings) context.Context {
	return context.WithValue(ctx, warningsKey{}, w)
}

// warningsOf returns the warnings that go out with the answer to the request of ctx. A context of no request
// gives nil, which ignores what it is given.
func warningsOf(ctx context.Context) *api.Warnings {
	w, _ := ctx.Value(warningsKey{}).(*api.Warnings)
	return w
}

// responseWriter adds the warnings to the header at the last moment and remembers what was sent. The
// stages and handlers of one request use it one at a time.
type responseWriter struct {
	http.ResponseWriter
	warnings *api.Warnings
	code     int // 0 until the header is written
	size     int64
}

// WriteHeader sends the header once; later calls are ignored.
func (w *responseWriter) WriteHeader(code int) {
	if w.code != 0 {
		return
	}
	if code >= 200 {
		w.code = code
		addWarnings(w.Header(), w.warnings.List())
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write sends the header with 200 if none was sent, then b.
func (w *responseWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	n, err := w.ResponseWriter.Write(b)
	w.size += int64(n)
	return n, err
}

// FlushError sends what is buffered, the header included.
func (w *responseWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker], for WebSockets. The answer is what the new owner of the connection writes.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.code = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap gives http.ResponseController the writer of net/http.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// began reports whether the client may have seen the beginning of an answer.
func (w *responseWriter) began() bool { return w.code != 0 }

// addWarnings writes the texts as RFC 9110 warnings with code 299 and no agent.
func addWarnings(h http.Header, texts []string) {
	for _, t := range texts {
		h.Add("Warning", `299 - "`+warningQuoter.Replace(t)+`"`)
	}
}

var warningQuoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// toError is api.ToError with the errors of net/http that a body can cause.
func toError(err error) *api.Error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return api.TooLarge("limit is %d", tooLarge.Limit).Wrap(err)
	}
	return api.ToError(err)
}

// writeError renders an error; it is the only place where one becomes an answer. The Status has the type that the client accepts for
// objects; one that accepts none gets indented JSON, which all clients read.
func writeError(w http.ResponseWriter, r *http.Request, e *api.Error) {
	status := e.Status
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if status.Code == 0 {
		status.Code = http.StatusInternalServerError
	}
	h := w.Header()
	// What a handler promised about its answer does not hold for this one.
	for _, k := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Expires", "Vary"} {
		h.Del(k)
	}
	h.Set("Cache-Control", cachePrivate)
	if d := status.Details; d != nil && d.RetryAfterSeconds > 0 {
		h.Set("Retry-After", strconv.Itoa(int(d.RetryAfterSeconds)))
	}
	contentType, body := renderStatus(&status, r)
	write(w, contentType, int(status.Code), body)
}

func renderStatus(status *metav1.Status, r *http.Request) (contentType string, body []byte) {
	media, params, ok := choose(r.Header.Get("Accept"), plain)
	var err error
	switch {
	case !ok:
		media = typeJSON
		body, err = json.MarshalIndent(status, "", "  ")
	case media == mediaYAML:
		body, err = yaml.Marshal(status)
	case media == mediaProtobuf:
		body, err = status.Marshal()
		body = resource.AppendEnvelopeEnd(append(resource.AppendEnvelope(nil, "v1", "Status", len(body)), body...))
	case wantsPretty(r) || params["pretty"] == "1":
		body, err = json.MarshalIndent(status, "", "  ")
	default:
		body, err = json.Marshal(status)
		body = append(body, '\n')
	}
	if err != nil { // Not reachable: a Status holds nothing that cannot be written.
		return typeJSON, []byte(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":500}`)
	}
	return media, body
}

// wantsPretty reports whether JSON should be indented for a person, as the reference decides it.
func wantsPretty(r *http.Request) bool {
	if p := queryValue(r, "pretty"); p != "" {
		yes, err := strconv.ParseBool(p)
		return err == nil && yes
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

const (
	typeJSON     = "application/json"
	typeText     = "text/plain; charset=utf-8"
	cachePrivate = "no-cache, private"
)

// write sends a whole answer that is in memory.
func write(w http.ResponseWriter, contentType string, code int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		return // The client is gone; net/http closes the connection or stream.
	}
}
