package archtest_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/internal/archtest"
)

const moduleRoot = "../.."

// rules is what the design says beside the picture.
var rules = archtest.Rules{
	Module: "github.com/gatehouse/gatehouse",
	// On the way of a request only resource reaches the store, and it asks for a permit.
	Only: map[string][]string{"store": {"resource"}},
	Forbidden: map[string]string{
		"k8s.io/kubernetes": "it is the oracle and the peer, in modules of their own",
		"k8s.io/apiserver":  "it is what this project replaces, but for the libraries listed beside this rule",
	},
	// Expressions are to mean what they mean in kube-apiserver. None of these serves, stores or registers anything.
	Libraries: []string{
		"k8s.io/apiserver/pkg/apis/cel",
		"k8s.io/apiserver/pkg/authentication/cel",
		"k8s.io/apiserver/pkg/authentication/user",
		"k8s.io/apiserver/pkg/authorization/authorizer",
		"k8s.io/apiserver/pkg/authorization/cel",
		"k8s.io/apiserver/pkg/cel",
		"k8s.io/apiserver/pkg/cel/common",
		"k8s.io/apiserver/pkg/cel/environment",
		"k8s.io/apiserver/pkg/cel/lazy",
		"k8s.io/apiserver/pkg/cel/library",
		"k8s.io/apiserver/pkg/cel/mutation",
		"k8s.io/apiserver/pkg/cel/mutation/dynamic",
		"k8s.io/apiserver/pkg/cel/openapi",
	},
	Names: []string{"base", "common", "helper", "helpers", "lib", "misc", "shared", "types", "util", "utils"},
}

func picture(t *testing.T) archtest.Lattice {
	t.Helper()
	document, err := os.ReadFile(moduleRoot + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	lattice, err := archtest.ParseLattice(string(document))
	if err != nil {
		t.Fatal(err)
	}
	return lattice
}

// TestModule holds the whole module to the rules. A breach is mended in the import, not in the rule.
func TestModule(t *testing.T) {
	packages, err := archtest.Load(os.DirFS(moduleRoot))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(packages, func(p archtest.Package) bool { return p.Path == "api" }) {
		t.Fatal("the package api was not found: the module was not read")
	}
	for _, breach := range picture(t).Check(rules, packages) {
		t.Error(breach)
	}
}

// TestPictureNamesRealPackages guards against a picture that still shows what is gone.
func TestPictureNamesRealPackages(t *testing.T) {
	planned := []string{"console"}
	for _, name := range picture(t).Names() {
		dir := strings.TrimSuffix(name, "/*")
		if _, err := fs.Stat(os.DirFS(moduleRoot), dir); err != nil && !slices.Contains(planned, name) {
			t.Errorf("the picture shows %s: %v", name, err)
		}
	}
}

func TestParseLatticeRejects(t *testing.T) {
	for name, document := range map[string]string{
		"no block":              "# text\n",
		"block not closed":      "\n```lattice\na\n",
		"empty block":           "\n```lattice\n\n```\n",
		"a name twice":          "\n```lattice\na\nb a\n```\n",
		"two blocks":            "\n```lattice\na\n```\n\n```lattice\nb\n```\n",
		"block of another kind": "\n```text\na\n```\n",
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := archtest.ParseLattice(document); err == nil {
				t.Errorf("accepted, with the names %v", l.Names())
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	lattice, err := archtest.ParseLattice("\n```lattice\ncmd/*\nserver\nauthn  authz\napi  internal/*\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, from, to string
		allowed        bool
	}{
		{"a line imports the next", "server", "authz", true},
		{"a line imports any below", "server", "api", true},
		{"a line does not import above", "authz", "server", false},
		{"siblings do not meet", "authn", "authz", false},
		{"a child of one sibling does not import another", "authn/x509", "authz", false},
		{"a child imports its parent", "authz/rbac", "authz", true},
		{"a grandchild imports its grandparent", "authz/rbac/index", "authz", true},
		{"a child imports what its parent may", "authz/rbac", "api", true},
		{"a parent does not import its child", "authz", "authz/rbac", false},
		{"children of one parent do not meet", "authz/rbac", "authz/node", false},
		{"a higher line does not import a child", "server", "authz/rbac", false},
		{"a command imports a child", "cmd/gatehouse", "authz/rbac", true},
		{"a command imports its own part", "cmd/gatehouse", "cmd/gatehouse/flags", true},
		{"commands do not meet", "cmd/gatehouse", "cmd/other", false},
		{"a star names each package on its own", "internal/a", "internal/b", false},
		{"a package under a star is reached from above", "authn", "internal/a", true},
		{"a child under a star is not", "authn", "internal/a/b", false},
		{"a name is no prefix of another", "serverless", "api", false},
		{"what the picture does not show may not import", "tool", "api", false},
		{"what the picture does not show is not imported", "server", "tool", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if why := lattice.Refuse(c.from, c.to); (why == "") != c.allowed {
				t.Errorf("%s imports %s: got %q, want allowed = %t", c.from, c.to, why, c.allowed)
			}
		})
	}
}

// TestCheck reads a module from memory that breaks each rule once.
func TestCheck(t *testing.T) {
	file := func(src string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(src)} }
	packages, err := archtest.Load(fstest.MapFS{
		"cmd/app/main.go":        file("package main\nimport _ \"m/store/disk\"\n"),
		"server/server.go":       file("package server\nimport _ \"m/store\"\nimport _ \"m/api\"\nfunc init() {}\n"),
		"server/server_test.go":  file("package server\nimport _ \"m/store/disk\"\nfunc init() {}\n"),
		"resource/resource.go":   file("package resource\nimport _ \"m/store\"\n"),
		"store/store.go":         file("package store\nimport _ \"k8s.io/kubernetes/pkg/apis\"\nfunc (t T) init() {}\ntype T int\n"),
		"store/disk/disk.go":     file("package disk\nimport _ \"m/store\"\n"),
		"api/api.go":             file("package util\nimport _ \"k8s.io/kubernetesque\"\nimport _ \"k8s.io/apiserver/pkg/cel\"\nimport _ \"k8s.io/apiserver/pkg/server\"\n"),
		"e2e/go.mod":             file("module m/e2e\n"),
		"e2e/e2e.go":             file("package e2e\nimport _ \"k8s.io/kubernetes\"\n"),
		"api/testdata/broken.go": file("not Go"),
	})
	if err != nil {
		t.Fatal(err)
	}
	lattice, err := archtest.ParseLattice("\n```lattice\ncmd/*\nserver\nresource\nstore\napi\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	r := rules
	r.Module = "m"
	want := []string{
		"api: the name util says nothing",
		"api imports k8s.io/apiserver/pkg/server: " + r.Forbidden["k8s.io/apiserver"],
		"server/server.go:4:1: init function",
		"server imports m/store: only resource and commands may import store",
		"store imports k8s.io/kubernetes/pkg/apis: " + r.Forbidden["k8s.io/kubernetes"],
	}
	if diff := cmp.Diff(want, lattice.Check(r, packages)); diff != "" {
		t.Errorf("breaches (-want +got):\n%s", diff)
	}
}
