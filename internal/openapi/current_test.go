package openapi_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
)

// The documents state what they were made from besides the table, which TestDocumentsSayWhatTheTableSays covers. A new
// version of the API types or a change of the generator without generating again shows here.
func TestDocumentsAreCurrent(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, name := range []string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/kube-openapi"} {
		for _, r := range mod.Require {
			if r.Mod.Path == name {
				fmt.Fprintf(&want, "module %s %s\n", name, r.Mod.Version)
			}
		}
	}
	fmt.Fprintf(&want, "generator sha256:%x\n", sourceHash(t, os.DirFS("../../tools/openapi")))
	if diff := cmp.Diff(want.String(), inputs(t)); diff != "" {
		t.Errorf("run make generate: inputs (-now +documents):\n%s", diff)
	}
}

// inputs reads what the generator noted down.
func inputs(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("documents.zip")
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Open("inputs.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(unpack(t, packed))
}

// sourceHash repeats the hash that the generator makes of its own source: the Go files in the order of their paths, each with
// its path and length before it.
func sourceHash(t *testing.T, root fs.FS) []byte {
	t.Helper()
	h := sha256.New()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(root, name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}
