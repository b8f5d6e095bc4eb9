package backend_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/backend"
)

type netConn = net.Conn

var errDialled = errors.New("dialled")

func logFront(t *testing.T, k *kubelet, follow bool) *front {
	t.Helper()
	p := backend.New(k.config())
	return newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
		return p.Log(w, r, k.target("/containerLogs/default/p/c", r.URL.RawQuery), "p", follow, started)
	})
}

// TestLogIsFollowed: each line is there before the next one is written, and when the client leaves, the kubelet notices.
func TestLogIsFollowed(t *testing.T) {
	next, gone := make(chan string), make(chan struct{})
	k := newKubelet(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for line := range next {
			_, _ = io.WriteString(w, line)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	f := logFront(t, k, true)
	conn := f.raw(t, "GET / HTTP/1.1\nHost: h\n\n")
	next <- "first\n"
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"first\n", "second\n"} {
		if got, err := lines.ReadString('\n'); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if want == "first\n" {
			next <- "second\n"
		}
	}
	close(next)
	if got := res.Header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("content type %q", got)
	}
	_ = conn.Close()
	_ = f.wait(t) // Whether it sees the client or the kubelet go first is chance.
	<-gone
}

// TestLogErrors: what a kubelet says about a log that there is not becomes a Status as kube-apiserver makes it.
func TestLogErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  int
		said  string
		want  int
		words string
	}{
		{"not found", 404, "no such container", 404, "the server could not find the requested resource ( pods/log p)"},
		{"bad request", 400, "previous terminated container not found", 400, "previous terminated container not found"},
		{"server error", 500, "disk", 500, "Internal error occurred: disk"},
		{"forbidden", 403, "Forbidden (user=x)", 403, "( pods/log p)"},
		{"a redirect", 302, "", 503, "not followed"},
		{"text without end", 400, strings.Repeat("x", 100_000), 400, "xxx..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKubelet(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://127.0.0.1:1/")
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.said)
			})
			f := logFront(t, k, false)
			res, body := f.do(t, http.MethodGet, "/", nil, "")
			if res.StatusCode != c.want || !strings.Contains(body, c.words) || len(body) > 4<<10 {
				t.Errorf("got %d %s, want %d with %q", res.StatusCode, body, c.want, c.words)
			}
		})
	}
}

// TestLogWithoutEnd: a log that is large is passed on whole and in order, without its length being known.
func TestLogWithoutEnd(t *testing.T) {
	want := strings.Repeat("0123456789abcdef\n", 200_000)
	k := newKubelet(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, want) })
	f := logFront(t, k, false)
	if _, got := f.do(t, http.MethodGet, "/?tailLines=5", nil, ""); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	if diff := cmp.Diff([]int{200}, f.started()); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}
