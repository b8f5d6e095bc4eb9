package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/internal/flags"
)

// judge is a service that decides by verb: it allows to list, denies to delete and has no opinion on the rest.
type judge struct {
	mu     sync.Mutex // guards the fields below
	asked  []string
	broken bool
}

func (j *judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review authorizationv1.SubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		http.Error(w, "a secret of the service", http.StatusTeapot)
		return
	}
	verb, what := "", review.Spec.NonResourceAttributes
	if what != nil {
		verb = what.Verb
	} else {
		verb = review.Spec.ResourceAttributes.Verb
		text, _ := json.Marshal(review.Spec.ResourceAttributes)
		j.asked = append(j.asked, review.Spec.User+" "+string(text))
	}
	review.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: verb == "list", Denied: verb == "delete", Reason: "so says the judge"}
	_ = json.NewEncoder(w).Encode(review)
}

func (j *judge) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() { j.asked = nil }()
	return j.asked
}

func (j *judge) breakDown() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = true
}

// startJudge serves the judge and returns a kubeconfig for it.
func startJudge(t *testing.T, j *judge) string {
	t.Helper()
	s := httptest.NewTLSServer(j)
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	kubeconfig, err := json.Marshal(map[string]any{
		"current-context": "c", "contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "k"}}},
		"clusters": []any{map[string]any{"name": "k", "cluster": map[string]any{"server": s.URL, "certificate-authority-data": ca}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(kubeconfig))
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWebhookMode asks a service after RBAC, as flags make it.
func TestWebhookMode(t *testing.T) {
	j := &judge{}
	w := startWired(t, "--authorization-mode=RBAC,Webhook", "--authorization-webhook-config-file="+startJudge(t, j), "--authorization-webhook-version=v1",
		"--authorization-webhook-cache-unauthorized-ttl=0")
	jane := w.as(t, "jane")
	for request, want := range map[string]struct {
		code int
		says string
	}{
		"GET /api/v1/namespaces/default/pods?labelSelector=a%3Db": {200, ""},
		"GET /version":                             {200, ""}, // from RBAC
		"GET /api/v1/namespaces/default/pods/p":    {403, ": so says the judge"},
		"DELETE /api/v1/namespaces/default/pods/p": {403, ": so says the judge"},
	} {
		if code, text := jane.do(t, request, ""); code != want.code || !strings.HasSuffix(text, want.says) {
			t.Errorf("%s: %d %s", request, code, text)
		}
	}
	const asked = `jane {"namespace":"default","verb":"list","version":"v1","resource":"pods","labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]}]}}`
	if got := j.take(); !slices.Contains(got, asked) || len(got) != 3 {
		t.Errorf("asked %q", got)
	}
	code, text := jane.do(t, "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", `{"spec":{"namespace":"default"}}`)
	if code != 201 || !strings.Contains(text, `"webhook authorizer does not support user rule resolution"`) {
		t.Errorf("rules: %d %s", code, text)
	}
	j.breakDown()
	if code, text := jane.do(t, "GET /api/v1/namespaces/default/secrets", ""); code != 500 || strings.Contains(text, "secret of the service") {
		t.Errorf("without an answer: %d %s", code, text)
	}
	if code, _ := jane.do(t, "GET /api/v1/namespaces/default/pods?labelSelector=a%3Db", ""); code != 200 {
		t.Errorf("an answer that is kept: %d", code)
	}
	if code, _ := jane.do(t, "GET /version", ""); code != 200 {
		t.Errorf("what RBAC allows: %d", code)
	}
	if code, _ := w.as(t, "admin", "system:masters").do(t, "GET /api/v1/secrets", ""); code != 200 {
		t.Errorf("an administrator: %d", code)
	}
}

const configHead = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"

func hookEntry(kubeconfig, more string) string {
	return "- type: Webhook\n  name: judge\n  webhook: {timeout: 3s, subjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: KubeConfigFile, kubeConfigFile: " + kubeconfig + "}" + more + "}\n"
}

// TestAuthorizationConfig puts a service before RBAC that is only asked about some users, and that must answer.
func TestAuthorizationConfig(t *testing.T) {
	j := &judge{}
	file := filepath.Join(t.TempDir(), "authorization.yaml")
	write(t, file, configHead+hookEntry(startJudge(t, j), `, matchConditionSubjectAccessReviewVersion: v1, matchConditions: [{expression: "'devs' in request.groups"}]`)+
		"- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n")
	w := startWired(t, "--authorization-config="+file)
	admin := w.as(t, "admin", "system:masters")
	for _, name := range []string{"jane", "joe"} {
		admin.must(t, "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"`+name+`"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
			"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"`+name+`"}]}`)
	}
	jane, joe := w.as(t, "jane", "devs"), w.as(t, "joe", "ops")
	joe.eventually(t, "GET /api/v1/secrets", 200)
	jane.eventually(t, "GET /api/v1/secrets", 200)
	j.take()
	if code, text := jane.do(t, "DELETE /api/v1/namespaces/default/pods/p", ""); code != 403 || !strings.HasSuffix(text, ": so says the judge") {
		t.Errorf("what the service denies and RBAC allows: %d %s", code, text)
	}
	if code, text := jane.do(t, "GET /api/v1/namespaces/default/pods/p", ""); code != 404 {
		t.Errorf("what the service leaves to RBAC: %d %s", code, text)
	}
	if code, text := joe.do(t, "DELETE /api/v1/namespaces/default/pods/p", ""); code != 404 {
		t.Errorf("what the service is not asked about: %d %s", code, text)
	}
	if got := j.take(); len(got) != 2 {
		t.Errorf("asked %q", got)
	}
	j.breakDown()
	if code, text := jane.do(t, "GET /api/v1/namespaces/default/configmaps/c", ""); code != 500 {
		t.Errorf("without an answer that is required: %d %s", code, text)
	}
	if code, text := joe.do(t, "GET /api/v1/namespaces/default/configmaps/c", ""); code != 404 {
		t.Errorf("where it is not: %d %s", code, text)
	}
}

// TestAuthorizationConfigIsReadAgain changes the file under authorizers that decide.
func TestAuthorizationConfigIsReadAgain(t *testing.T) {
	j := &judge{}
	kubeconfig := startJudge(t, j)
	file := filepath.Join(t.TempDir(), "authorization.yaml")
	const rbac, deny = "- {type: RBAC, name: rbac}\n", "- {type: AlwaysDeny, name: alwaysdeny}\n"
	write(t, file, configHead+rbac)
	p := &parts{wiring: wiring{options: &flags.Options{Profile: flags.Hardened}, logger: slog.New(slog.DiscardHandler)}}
	p.options.Authorization.ConfigFile = file
	if err := p.makeAuthorization(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.closeAll(); err != nil {
			t.Error(err)
		}
	})
	ask := func() string {
		d, reason, err := p.modes.Authorize(t.Context(), api.User{Name: "jane"}, api.RequestInfo{IsResource: true, Verb: "list", Resource: "pods"})
		return fmt.Sprint(d, " ", reason, " ", err)
	}
	steps := []struct{ name, text, fails, want string }{
		{"a service is added", rbac + hookEntry(kubeconfig, ""), "", "allow so says the judge <nil>"},
		{"what cannot be read changes nothing", "- {type: RBAC", "failed to load", "allow so says the judge <nil>"},
		{"what is wrong changes nothing", rbac + hookEntry("/no/such/file", ""), "no such file", "allow so says the judge <nil>"},
		{"a service that cannot be reached by what the file names changes nothing", rbac + hookEntry(file, ""), "context", "allow so says the judge <nil>"},
		{"what has to stay is missing", deny, "missing required types: [RBAC]", "allow so says the judge <nil>"},
		{"what was not started", rbac + "- {type: Node, name: node}\n", "authorizer type Node is not allowed", "allow so says the judge <nil>"},
		{"what the profile refuses", rbac + "- {type: AlwaysAllow, name: alwaysallow}\n", "the hardened profile refuses the type AlwaysAllow", "allow so says the judge <nil>"},
		{"the service is taken away", rbac + deny, "", "no opinion Everything is forbidden. <nil>"},
	}
	if got := ask(); got != "no opinion  <nil>" {
		t.Errorf("at first: %s", got)
	}
	reload := p.reload[0].reload
	for _, step := range steps {
		write(t, file, configHead+step.text)
		changed, err := reload()
		if (err != nil) != (step.fails != "") || !strings.Contains(fmt.Sprint(err), step.fails) || changed != (step.fails == "") {
			t.Errorf("%s: %v %v", step.name, changed, err)
		}
		if got := ask(); got != step.want {
			t.Errorf("%s: %s", step.name, got)
		}
	}
	if changed, err := reload(); changed || err != nil {
		t.Errorf("the same file: %v %v", changed, err)
	}
}

// TestAuthorizationIsRefusedAtStart checks that what is wrong is told with the flag that brought it.
func TestAuthorizationIsRefusedAtStart(t *testing.T) {
	dir := t.TempDir()
	bad, always, broken := filepath.Join(dir, "bad"), filepath.Join(dir, "always"), filepath.Join(dir, "broken")
	write(t, bad, "authorizers: []")
	write(t, always, configHead+"- {type: AlwaysAllow, name: alwaysallow}\n")
	write(t, broken, "clusters: x")
	tests := []struct {
		name string
		o    flags.Options
		want string
	}{
		{"a kubeconfig that is not there", flags.Options{AuthorizationModes: []string{flags.Webhook}, Authorization: flags.Authorization{WebhookConfigFile: "/no/such/file", WebhookVersion: "v1"}}, "--authorization-webhook-config-file: webhook: open /no/such/file: no such file"},
		{"a kubeconfig that is none", flags.Options{AuthorizationModes: []string{flags.Webhook}, Authorization: flags.Authorization{WebhookConfigFile: broken, WebhookVersion: "v1"}}, "--authorization-webhook-config-file: webhook: " + broken},
		{"a configuration that is not there", flags.Options{Authorization: flags.Authorization{ConfigFile: "/no/such/file"}}, "--authorization-config: stat /no/such/file"},
		{"a configuration that is none", flags.Options{Authorization: flags.Authorization{ConfigFile: bad}}, "--authorization-config: failed to load AuthorizationConfiguration from file"},
		{"what the profile refuses", flags.Options{Profile: flags.Hardened, Authorization: flags.Authorization{ConfigFile: always}}, "--authorization-config: the hardened profile refuses the type AlwaysAllow"},
	}
	for _, tt := range tests {
		p := &parts{wiring: wiring{options: &tt.o, logger: slog.New(slog.DiscardHandler)}}
		if err := p.makeAuthorization(t.Context()); !strings.HasPrefix(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	compatible := &parts{wiring: wiring{options: &flags.Options{Profile: flags.Compatible}, logger: slog.New(slog.DiscardHandler)}}
	compatible.options.Authorization.ConfigFile = always
	if err := compatible.makeAuthorization(t.Context()); err != nil {
		t.Error(err)
	}
	if d, _, _ := compatible.modes.Authorize(t.Context(), api.User{Name: "jane"}, api.RequestInfo{}); d != authz.Allow {
		t.Error(d)
	}
}
