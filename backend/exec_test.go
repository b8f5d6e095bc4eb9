package backend_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	portforwardapi "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/tools/portforward"
	client "k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"

	"github.com/gatehouse/gatehouse/backend"
)

// execFront serves exec as the server does: WebSockets in version 5 are translated, all else is passed on.
func execFront(t *testing.T, k *kubelet, query string, streams backend.Streams) *front {
	t.Helper()
	p := backend.New(k.config())
	target := k.target("/exec/default/p/c", query)
	return newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
		if backend.WantsChannels(r) {
			return p.Exec(w, r, target, streams, started)
		}
		return p.Forward(w, r, target, "", true, started)
	})
}

// protocols are the two in which clients speak.
func protocols(t *testing.T, f *front) map[string]client.Executor {
	t.Helper()
	spdy, err := client.NewSPDYExecutor(f.rest(), http.MethodPost, f.url(t))
	if err != nil {
		t.Fatal(err)
	}
	socket, err := client.NewWebSocketExecutor(f.rest(), http.MethodGet, f.URL+"/")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]client.Executor{"SPDY": spdy, "WebSocket": socket}
}

// TestExecCarriesInput: input reaches the process, its output the client, and the end of the input ends the process.
func TestExecCarriesInput(t *testing.T) {
	k := newKubelet(t, nil)
	f := execFront(t, k, "input=1&output=1&command=cat", backend.Streams{Stdin: true, Stdout: true})
	want := strings.Repeat("all of this comes back. ", 20_000)
	for name, executor := range protocols(t, f) {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := executor.StreamWithContext(t.Context(), client.StreamOptions{Stdin: strings.NewReader(want), Stdout: &out}); err != nil {
				t.Fatal(err)
			}
			if out.String() != want {
				t.Errorf("%d bytes came back, want %d", out.Len(), len(want))
			}
			if err := f.wait(t); err != nil {
				t.Errorf("the handler returned %v", err)
			}
			k.wait(t)
		})
	}
	if diff := cmp.Diff([]int{101, 101}, f.started()); diff != "" {
		t.Errorf("codes of the answers (-want +got):\n%s", diff)
	}
}

// TestExecSeparatesStreams guards against output on the wrong stream, and against an outcome that is lost.
func TestExecSeparatesStreams(t *testing.T) {
	k := newKubelet(t, nil)
	t.Run("output and errors", func(t *testing.T) {
		f := execFront(t, k, "output=1&error=1&command=both", backend.Streams{Stdout: true, Stderr: true})
		for name, executor := range protocols(t, f) {
			var out, errs bytes.Buffer
			if err := executor.StreamWithContext(t.Context(), client.StreamOptions{Stdout: &out, Stderr: &errs}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			k.wait(t)
			if out.String() != "to out" || errs.String() != "to err" {
				t.Errorf("%s: out %q, errors %q", name, &out, &errs)
			}
			_ = f.wait(t)
		}
	})
	t.Run("exit code", func(t *testing.T) {
		f := execFront(t, k, "output=1&command=fail", backend.Streams{Stdout: true})
		for name, executor := range protocols(t, f) {
			err := executor.StreamWithContext(t.Context(), client.StreamOptions{Stdout: io.Discard})
			var exit exec.CodeExitError
			if !errors.As(err, &exit) || exit.Code != 3 {
				t.Errorf("%s: %v, want exit code 3", name, err)
			}
			_ = f.wait(t)
			k.wait(t)
		}
	})
}

// TestExecEndsWithItsClient: when the client goes away, the process at the kubelet loses its streams and the handler returns.
func TestExecEndsWithItsClient(t *testing.T) {
	k := newKubelet(t, nil)
	f := execFront(t, k, "input=1&output=1&command=wait", backend.Streams{Stdin: true, Stdout: true})
	for name, executor := range protocols(t, f) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ready, out := io.Pipe()
			in, typed := io.Pipe()
			defer typed.Close()
			done := make(chan error, 1)
			go func() { done <- executor.StreamWithContext(ctx, client.StreamOptions{Stdin: in, Stdout: out}) }()
			if _, err := io.ReadFull(ready, make([]byte, len("ready"))); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-done
			_ = f.wait(t)
			k.wait(t)
		})
	}
}

// TestExecTellsWhatTheKubeletRefuses: a WebSocket is open before the kubelet is asked, so the refusal comes on its error channel.
func TestExecTellsWhatTheKubeletRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no such container": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "container not found", 404) }, "container not found"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "redirect not allowed"},
		"success, no upgrade":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, "invalid upgrade response: status code 200"},
		"another protocol":     {switchTo("websocket"), "protocol that was not asked for"},
		"a head without bound": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKubelet(t, c.answer)
			p := backend.New(k.config())
			f := newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
				return p.Exec(w, r, k.target("/other", ""), backend.Streams{Stdout: true}, started)
			})
			executor, err := client.NewWebSocketExecutor(f.rest(), http.MethodGet, f.URL+"/")
			if err != nil {
				t.Fatal(err)
			}
			err = executor.StreamWithContext(t.Context(), client.StreamOptions{Stdout: io.Discard})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			_ = f.wait(t)
		})
	}
}

// switchTo answers with a change to a protocol, whatever was asked for.
func switchTo(protocol string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(io.Discard, conn)
	}
}

// TestPortForward echoes through both protocols.
func TestPortForward(t *testing.T) {
	k := newKubelet(t, nil)
	p := backend.New(k.config())
	target := k.target("/portForward/default/p", "")
	f := newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
		if backend.WantsTunnel(r) {
			return p.Tunnel(w, r, target, started)
		}
		return p.Forward(w, r, target, "", true, started)
	})
	dialer, err := portforward.NewSPDYOverWebsocketDialer(f.url(t), f.rest())
	if err != nil {
		t.Fatal(err)
	}
	conn, protocol, err := dialer.Dial(portforwardapi.PortForwardV1Name)
	if err != nil {
		t.Fatal(err)
	}
	if protocol != portforwardapi.PortForwardV1Name {
		t.Errorf("protocol %q", protocol)
	}
	header := http.Header{"Port": {"80"}, "Requestid": {"0"}, "Streamtype": {"error"}}
	if _, err := conn.CreateStream(header.Clone()); err != nil {
		t.Fatal(err)
	}
	header.Set("Streamtype", "data")
	data, err := conn.CreateStream(header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(data, "echo"); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 4)
	if _, err := io.ReadFull(data, back); err != nil || string(back) != "echo" {
		t.Errorf("%q came back, %v", back, err)
	}
	_ = conn.Close()
	if err := f.wait(t); err != nil {
		t.Errorf("the handler returned %v", err)
	}
}

// TestTunnelPassesRefusalsOn: the kubelet is asked before the WebSocket is open, so the client gets its answer.
func TestTunnelPassesRefusalsOn(t *testing.T) {
	k := newKubelet(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such pod", http.StatusNotFound) })
	p := backend.New(k.config())
	f := newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
		return p.Tunnel(w, r, k.target("/other", ""), started)
	})
	res, body := f.do(t, http.MethodGet, "/", http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {"SPDY/3.1+portforward.k8s.io"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}, "")
	if res.StatusCode != http.StatusNotFound || !strings.Contains(body, "no such pod") {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}
