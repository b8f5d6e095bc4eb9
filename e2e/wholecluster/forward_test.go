package wholecluster_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const podAnswer = "the pod answers"

// answering is the port of a server that stands for what runs in pods.
func answering(t *testing.T) int {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, podAnswer) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}

var forwardLine = regexp.MustCompile(`Forwarding from 127\.0\.0\.1:(\d+)`)

// forwards asks what runs in a pod, first by SPDY in a WebSocket and then by SPDY alone, as older kubectls do.
func forwards(w *whole, t *testing.T) {
	for _, websockets := range []string{"true", "false"} {
		log := filepath.Join(w.dir, "forward-"+websockets+".log")
		p, err := cluster.StartProcess(
			w.dir, log, "env", "KUBECTL_PORT_FORWARD_WEBSOCKETS="+websockets, w.kubectl, "--kubeconfig="+w.layout.File("admin.conf"),
			"-n", shop, "port-forward", "deployment/web", "--address=127.0.0.1", ":80",
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		var port []byte
		eventually(t, func() string {
			text, err := os.ReadFile(log)
			if m := forwardLine.FindSubmatch(text); m != nil {
				port = m[1]
				return ""
			}
			return fmt.Sprintf("a port of kubectl's, it says %q, %v", text, err)
		})
		resp, err := http.Get("http://127.0.0.1:" + string(port))
		if err != nil {
			text, _ := os.ReadFile(log)
			t.Fatalf("WebSockets %s: %v\n%s", websockets, err, text)
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(answer) != podAnswer {
			t.Errorf("WebSockets %s: %q, %v", websockets, answer, err)
		}
		p.Kill()
	}
}
