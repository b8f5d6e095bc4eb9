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
	get(t, recorder.URL+"/next?continue=c100&limit=1")
	get(t, recorder.URL+"/document?hash="+hashBegin+"100&timeout=1s")
	recording := recorder.Close()
	if recording.Len() != 4 {
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

// hashBegin makes hashes as long as those of documents.
var hashBegin = strings.Repeat("A", 64)

// serveVersion tells its version, a continue token and a hash, and refuses any other.
func serveVersion(w http.ResponseWriter, r *http.Request, version string) {
	w.Header().Set("Content-Type", "application/json")
	want := map[string]string{"resourceVersion": version, "continue": "c" + version, "hash": hashBegin + version}
	for name, values := range r.URL.Query() {
		if want[name] != "" && values[0] != want[name] {
			w.WriteHeader(http.StatusConflict)
			return
		}
	}
	_, _ = io.WriteString(w, `{"serverRelativeURL":"/document?hash=`+hashBegin+version+`","metadata":{"resourceVersion":"`+version+`","continue":"c`+version+`"}}`)
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
