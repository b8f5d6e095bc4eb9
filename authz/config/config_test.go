package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/authz/config"
	"github.com/gatehouse/gatehouse/authz/webhook"
)

func compile(path *field.Path, expressions []string) field.ErrorList {
	_, errs := webhook.Compile(path, expressions)
	return errs
}

// kubeconfig makes a file to refer to; what it holds is read elsewhere.
func kubeconfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// own are the cases in which we say something else than kube-apiserver, which reads files with another library and knows ABAC.
func own() map[string]string {
	const load = "failed to load AuthorizationConfiguration from file: "
	return map[string]string{
		"unknown type":       "",
		"several faults":     "",
		"unknown field":      load + `error unmarshaling JSON: while decoding JSON: json: unknown field "order"`,
		"field twice":        load + "error converting YAML to JSON: yaml: unmarshal errors:\n  line 4: key \"name\" already set in map",
		"another kind":       load + `want kind AuthorizationConfiguration of apiserver.config.k8s.io/v1, not "AuthenticationConfiguration" of "apiserver.config.k8s.io/v1"`,
		"another group":      load + `want kind AuthorizationConfiguration of apiserver.config.k8s.io/v1, not "AuthorizationConfiguration" of "example.com/v1"`,
		"no kind":            load + `want kind AuthorizationConfiguration of apiserver.config.k8s.io/v1, not "" of ""`,
		"no YAML":            load + "error converting YAML to JSON: yaml: line 2: did not find expected ',' or '}'",
		"unknown connection": `authorizers[0].connectionInfo.type: Unsupported value: "URL": supported values: "KubeConfigFile"`,
		"empty":              load + `want kind AuthorizationConfiguration of apiserver.config.k8s.io/v1, not "" of ""`,
	}
}

// TestAnswersOfTheReference loads files of which testdata records what kube-apiserver 1.36.3 says.
func TestAnswersOfTheReference(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/answers-1.36.3.txtar")
	if err != nil {
		t.Fatal(err)
	}
	file := kubeconfig(t)
	for i := 0; i+1 < len(archive.Files); i += 2 {
		name := strings.TrimSuffix(archive.Files[i].Name, ".yaml")
		want := strings.TrimSuffix(string(archive.Files[i+1].Data), "\n")
		if text, ok := own()[name]; ok {
			if want == "" {
				t.Errorf("%s: kube-apiserver accepts it", name)
			}
			if want = strings.Replace(want, `"ABAC", `, "", 1); text != "" {
				want = text
			}
		}
		t.Run(name, func(t *testing.T) {
			_, err := config.Load([]byte(strings.ReplaceAll(string(archive.Files[i].Data), "KUBECONFIG", file)), compile)
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), file, "KUBECONFIG")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"

// hook is an entry with only what is required.
func hook(name, file, more string) string {
	return "- type: Webhook\n  name: " + name + "\n  webhook: {timeout: 3s, subjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: KubeConfigFile, kubeConfigFile: " + file + "}" + more + "}\n"
}

func load(t *testing.T, text string) []config.Authorizer {
	t.Helper()
	list, err := config.Load([]byte(head+text), compile)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLoad(t *testing.T) {
	file := kubeconfig(t)
	got := load(t, "- {type: Node, name: node}\n"+hook("a", file, "")+"- {type: RBAC, name: rbac}\n"+
		hook("b", file, `, authorizedTTL: 1h, cacheUnauthorizedRequests: false, matchConditionSubjectAccessReviewVersion: v1, matchConditions: [{expression: "true"}]`))
	want := []config.Authorizer{
		{Type: config.Node, Name: "node"},
		{Type: config.Webhook, Name: "a", Webhook: &config.Service{
			KubeConfigFile: file, Timeout: 3 * time.Second, Version: "v1", FailurePolicy: "Deny", AuthorizedTTL: 5 * time.Minute, UnauthorizedTTL: 30 * time.Second,
		}},
		{Type: config.RBAC, Name: "rbac"},
		{Type: config.Webhook, Name: "b", Webhook: &config.Service{
			KubeConfigFile: file, Timeout: 3 * time.Second, Version: "v1", FailurePolicy: "Deny", AuthorizedTTL: time.Hour, Conditions: []string{"true"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("authorizers (-want +got):\n%s", diff)
	}
}

// TestRefusals are files that kube-apiserver takes, or whose size it does not bound.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"ABAC":           {"- {type: ABAC, name: abac}\n", `authorizers[0].type: Invalid value: "ABAC": its policy file changes only with a restart`},
		"the server":     {"- type: Webhook\n  name: a\n  webhook: {timeout: 3s, subjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: InClusterConfig}}\n", "the server would ask itself"},
		"too large":      {strings.Repeat("#", config.MaxBytes), "larger than"},
		"too many":       {strings.Repeat("- {type: RBAC, name: rbac}\n", 65), "authorizers: Too many: 65"},
		"two documents":  {"- {type: RBAC, name: rbac}\n---\n" + head + "- {type: AlwaysAllow, name: alwaysallow}\n", "more than one document"},
		"a wrong number": {"- {type: 1, name: rbac}\n", `Unsupported value: "1"`},
	} {
		if _, err := config.Load([]byte(head+tt.text), compile); !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSucceeds(t *testing.T) {
	file := kubeconfig(t)
	const node, rbac, deny = "- {type: Node, name: node}\n", "- {type: RBAC, name: rbac}\n", "- {type: AlwaysDeny, name: alwaysdeny}\n"
	tests := []struct{ name, last, next, want string }{
		{"webhooks come and go", node + rbac + hook("a", file, ""), hook("b", file, "") + node + rbac, "<nil>"},
		{"the order changes", node + rbac, rbac + node, "<nil>"},
		{"a type goes", node + rbac + deny, deny, "missing required types: [Node RBAC]"},
		{"a type comes that was not started", rbac, node + rbac, "authorizer type Node is not allowed if it was not enabled at initial server startup"},
		{"a type comes that needs no start", rbac, rbac + deny, "<nil>"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(config.Succeeds(load(t, tt.next), load(t, tt.last))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// FuzzLoad checks that what is accepted has an authorizer, and webhooks that can be asked.
func FuzzLoad(f *testing.F) {
	file := kubeconfig(f)
	archive, err := txtar.ParseFile("testdata/answers-1.36.3.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		f.Add(strings.ReplaceAll(string(archive.Files[i].Data), "KUBECONFIG", file))
	}
	none := func(*field.Path, []string) field.ErrorList { return nil }
	f.Fuzz(func(t *testing.T, text string) {
		list, err := config.Load([]byte(text), none)
		if err != nil {
			return
		}
		if len(list) == 0 {
			t.Error("nobody decides")
		}
		for _, a := range list {
			w := a.Webhook
			if (a.Type == config.Webhook) != (w != nil) {
				t.Fatalf("%+v", a)
			}
			if w != nil && (w.Timeout <= 0 || w.Timeout > 30*time.Second || w.KubeConfigFile == "" || w.AuthorizedTTL < 0 || w.UnauthorizedTTL < 0 ||
				(w.FailurePolicy != "Deny" && w.FailurePolicy != "NoOpinion")) {
				t.Errorf("%+v", w)
			}
		}
	})
}
