package fieldmanager_test

import (
	"bytes"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse/gatehouse/fieldmanager"
)

// canonical are sets as the library writes them.
var canonical = []string{
	`{}`,
	`{"f:a":{}}`,
	`{"f:a":{},"f:b":{".":{},"f:c":{}}}`,
	`{"f:a":{"f:b":{},"f:c":{"f:d":{}}},"f:b":{}}`,
	`{"f:l":{".":{},"k:{\"name\":\"a\"}":{".":{},"f:name":{}},"k:{\"name\":\"a-b\"}":{}}}`,
	`{"f:l":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}},"k:{\"containerPort\":443,\"protocol\":\"TCP\"}":{}}}`,
	`{"f:s":{".":{},"v:\"x\"":{},"v:\"y/z\"":{}}}`,
	`{"f:s":{"v:1":{},"v:20":{}}}`,
}

// TestSets compares every operation on every pair of sets with the library's.
func TestSets(t *testing.T) {
	for _, a := range canonical {
		if got, ok := fieldmanager.Reparse(a); !ok || got != a {
			t.Errorf("%s is read as %s, %v", a, got, ok)
		}
		for _, b := range canonical {
			x, y := librarySet(t, a), librarySet(t, b)
			for name, got := range map[string][2]string{
				"union":      {fieldmanager.Union(a, b), text(t, x.Union(y))},
				"difference": {fieldmanager.Difference(a, b), text(t, x.Difference(y))},
			} {
				if got[0] != got[1] {
					t.Errorf("%s of %s and %s is %s, want %s", name, a, b, got[0], got[1])
				}
			}
			if got, want := fieldmanager.Intersects(a, b), !x.Intersection(y).Empty(); got != want {
				t.Errorf("%s intersects %s: %v", a, b, got)
			}
			if got, want := fieldmanager.Contains(a, b), y.Difference(x).Empty(); got != want {
				t.Errorf("%s contains %s: %v", a, b, got)
			}
		}
	}
}

// What is not canonical is left to the library, even where it is clear what it means.
func TestOnlyCanonicalSetsAreRead(t *testing.T) {
	for name, fields := range map[string]string{
		"nothing":                   ``,
		"white space":               `{ }`,
		"more behind it":            `{}{}`,
		"the wrong order":           `{"f:b":{},"f:a":{}}`,
		"twice the same":            `{"f:a":{},"f:a":{}}`,
		"a point alone":             `{"f:a":{".":{}}}`,
		"a point at the root":       `{".":{},"f:a":{}}`,
		"an escaped character":      `{"f:a\u0041":{}}`,
		"an index":                  `{"i:1":{}}`,
		"an unknown kind":           `{"x:1":{}}`,
		"a field without a name":    `{"f:":{}}`,
		"keys in the wrong order":   `{"k:{\"b\":1,\"a\":1}":{}}`,
		"a key that is no string":   `{"k:{\"a\":true}":{}}`,
		"a number with a fraction":  `{"v:1.5":{}}`,
		"a number with leading 0":   `{"v:01":{}}`,
		"an unfinished object":      `{"f:a":{`,
		"an unfinished key":         `{"f:a`,
		"numbers in the text order": `{"v:20":{},"v:3":{}}`,
	} {
		if got, ok := fieldmanager.Reparse(fields); ok {
			t.Errorf("%s: %s is read as %s", name, fields, got)
		}
	}
}

// FuzzSet holds that what is read is what the library reads, and is written as it was.
func FuzzSet(f *testing.F) {
	for _, s := range canonical {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, fields string) {
		got, ok := fieldmanager.Reparse(fields)
		if !ok {
			return
		}
		if got != fields {
			t.Fatalf("%s is written as %s", fields, got)
		}
		if want := text(t, librarySet(t, fields)); want != fields {
			t.Fatalf("the library writes %s as %s", fields, want)
		}
	})
}

func librarySet(t *testing.T, fields string) *fieldpath.Set {
	t.Helper()
	s := &fieldpath.Set{}
	if err := s.FromJSON(bytes.NewReader([]byte(fields))); err != nil {
		t.Fatalf("%s: %v", fields, err)
	}
	return s
}

func text(t *testing.T, s *fieldpath.Set) string {
	t.Helper()
	b, err := s.ToJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
