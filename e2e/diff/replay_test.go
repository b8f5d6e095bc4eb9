package diff_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

// TestReplay records a client that uses what it was told, and guards that each server is told its own values again.
func TestReplay(t *testing.T) {
	const namespace = "from-namespace"
	recorder := diff.NewRecorder(canned(t, serveVersion, "100", "").Kube)
	recorder.Begin("a command with words")
	get(t, recorder.URL+"/api/v1/namespaces/"+namespace+"/x")
	get(t, recorder.URL+"/check?resourceVersion=100")
	recording := recorder.Close()
	if recording.Len() != 2 {
		t.Fatalf("%d requests were recorded", recording.Len())
	}
	for _, r := range canned(t, serveVersion, "5", "66").Replay(t.Context(), recording, namespace, "other-name-xxx") {
		if r.Verdict != diff.Equal || r.Kube.Status != http.StatusOK || r.Behaviour != "a command" {
			t.Errorf("%s: %s, %s: %v", r.Name, r.Verdict, r.Kube.Message(), r.Findings)
		}
		if strings.Contains(r.Request.Path, namespace) {
			t.Errorf("%s: the name of the namespace was not replaced", r.Name)
		}
	}
}

// serveVersion tells its version and refuses a check of any other.
func serveVersion(w http.ResponseWriter, r *http.Request, version string) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/check" && r.URL.Query().Get("resourceVersion") != version {
		w.WriteHeader(http.StatusConflict)
	}
	_, _ = io.WriteString(w, `{"metadata":{"resourceVersion":"`+version+`"}}`)
}

func get(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
