// Package casetest runs the cases of a kind's rules from a file, so that a case is the few lines of YAML that it is about and what the
// reference answers to them.
//
// The file is a txtar archive whose comment is an object that is valid, in YAML. Each case is two files in it. The first has the case's name
// and is merged into the object (RFC 7396: lists are replaced). The second is named "want". How a name begins says what is
// done with the object:
//
//	create: ...   it is checked as a new one, and want has a line "field: reason: message" for each cause
//	update: ...   it is checked as an update of the valid object
//	status: ...   likewise, through the status subresource
//	default: ...  it is given its defaults, and want is the result, its metadata left out
//
// A warning is a line "warning: text" after the causes.
package casetest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/rules"
)

// Run runs the cases of a file, each as a test of its own. T is the kind's Go type.
func Run[T any](t *testing.T, kind *rules.Kind, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(data)
	if len(archive.Files) == 0 || len(archive.Files)%2 != 0 {
		t.Fatalf("%s has %d files, which are no pairs", file, len(archive.Files))
	}
	for i := 0; i < len(archive.Files); i += 2 {
		name, want := archive.Files[i].Name, archive.Files[i+1]
		t.Run(name, func(t *testing.T) {
			if want.Name != "want" {
				t.Fatalf("the case is followed by %q", want.Name)
			}
			got := answer[T](t, kind, name, archive.Comment, archive.Files[i].Data)
			expected := any(strings.TrimSpace(string(want.Data)))
			if _, ok := got.(map[string]any); ok {
				if err := yaml.Unmarshal(want.Data, &expected); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// answer is text, or for defaults the fields of the object.
func answer[T any](t *testing.T, kind *rules.Kind, name string, base, change []byte) any {
	t.Helper()
	what, _, ok := strings.Cut(name, ": ")
	if !ok {
		t.Fatalf("the name %q does not begin with what is done", name)
	}
	o := read[T](t, base, change)
	kind.Default(o)
	switch what {
	case "default":
		return rest(t, o)
	case "create":
		kind.Create(o)
		return lines(kind.Check("", o, nil))
	case "update", "status":
		old := read[T](t, base, nil)
		kind.Default(old)
		subresource := ""
		if what == "status" {
			subresource = "status"
		}
		kind.Update(subresource, o, old)
		return lines(kind.Check(subresource, o, old))
	}
	t.Fatalf("nobody knows how to %s", what)
	return ""
}

// read decodes an object that a change has been merged into.
func read[T any](t *testing.T, base, change []byte) *T {
	t.Helper()
	doc, err := yaml.YAMLToJSON(base)
	if err == nil && len(change) > 0 {
		var patch []byte
		if patch, err = yaml.YAMLToJSON(change); err == nil {
			doc, err = jsonpatch.MergePatch(doc, patch)
		}
	}
	o := new(T)
	if err == nil {
		err = json.Unmarshal(doc, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// rest are the fields of an object without its metadata and status.
func rest(t *testing.T, o any) map[string]any {
	t.Helper()
	var fields map[string]any
	doc, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(doc, &fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	delete(fields, "metadata")
	delete(fields, "status")
	return fields
}
