package diff

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Recording is requests in the order in which a client sent them, each with the answer it got.
type Recording struct {
	mu    sync.Mutex // guards steps
	steps []recorded
}

type recorded struct {
	command string // what was running when the request came
	request Request
	answer  Answer
}

// Len is the number of requests.
func (r *Recording) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.steps)
}

// Recorder stands in front of a server, passes requests on as the administrator, and records them. It listens on loopback
// without TLS.
type Recorder struct {
	// URL is where clients find it.
	URL string

	server    *httptest.Server
	target    *Target
	recording *Recording
	mu        sync.Mutex // guards command
	command   string
}

// NewRecorder starts a recorder in front of a server. It has to be closed.
func NewRecorder(t *Target) *Recorder {
	r := &Recorder{target: t, recording: &Recording{}}
	r.server = httptest.NewServer(r)
	r.URL = r.server.URL
	return r
}

// Begin names what the following requests belong to.
func (r *Recorder) Begin(command string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command = command
}

// Close stops listening and returns what was recorded.
func (r *Recorder) Close() *Recording {
	r.server.Close()
	return r.recording
}

// hopHeaders say something about the connection or the client's own tools, not about what is asked. An entity tag is one of
// the recorded server's own.
func hopHeaders() []string {
	return []string{"Connection", "Accept-Encoding", "Content-Length", "Kubectl-Session", "Kubectl-Command", "X-Forwarded-For", "If-None-Match"}
}

// ServeHTTP passes one request on.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxAnswer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	header := http.Header{}
	for name, values := range req.Header {
		if !slices.Contains(hopHeaders(), name) {
			header[name] = values
		}
	}
	asked := Request{Method: req.Method, Path: shortWatch(*req.URL), Header: header, Body: body}
	resp, raw, err := r.target.send(req.Context(), asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	r.mu.Lock()
	command := r.command
	r.mu.Unlock()
	r.recording.mu.Lock()
	r.recording.steps = append(r.recording.steps, recorded{command, asked, newAnswer(resp.StatusCode, resp.Header, raw)})
	r.recording.mu.Unlock()
	for name, values := range resp.Header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, bytes.NewReader(raw)) // a client that has gone away has its answer recorded all the same
}

// shortWatch returns the path and query of a request. A watch is made to end after a second, because its answer is recorded
// as a whole.
func shortWatch(u url.URL) string {
	query := u.Query()
	if watch := query.Get("watch"); watch == "true" || watch == "1" {
		query.Set("timeoutSeconds", "1")
		u.RawQuery = query.Encode()
	}
	return u.RequestURI()
}

// Kubeconfig returns a configuration file for clients of the recorder.
func (r *Recorder) Kubeconfig() string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		host, port = r.URL, ""
	}
	return "apiVersion: v1\nkind: Config\ncurrent-context: c\n" +
		"clusters: [{name: c, cluster: {server: \"http://" + net.JoinHostPort(host, port) + "\"}}]\n" +
		"users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
}
