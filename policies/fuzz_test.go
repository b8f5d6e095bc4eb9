package policies_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/policies"
)

// FuzzParseConfiguration: what is accepted means the same when it is written out and read again.
func FuzzParseConfiguration(f *testing.F) {
	f.Add([]byte("apiVersion: policy.gatehouse.dev/v1alpha1\nkind: PolicyConfiguration\npolicies:\n- {name: a, action: off, parameters: {x: [1, 1.5, null]}, match: {namespaceSelector: {matchLabels: {a: b}}}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("a: &a {b: 1}\nc: {<<: *a}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := policies.ParseConfiguration(text)
		if err != nil {
			return
		}
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := policies.ParseConfiguration(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		before, _ := json.Marshal(c)
		after, _ := json.Marshal(again)
		if diff := cmp.Diff(string(before), string(after)); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzParseCases: a case file is accepted or refused, and nothing else happens.
func FuzzParseCases(f *testing.F) {
	f.Add([]byte("policy: p\nbase: {}\ncases:\n- {name: n, each: [a, '\"'], want: deny, patch: [{op: add, path: /$each, value: 1}]}\n"))
	f.Add([]byte("cases: [{name: $each, each: [$each, $each], want: allow}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, second := policies.ParseCases(text), policies.ParseCases(text)
		if (first == nil) != (second == nil) {
			t.Errorf("%v, then %v", first, second)
		}
	})
}

// FuzzCompile: a policy's text either compiles, and then each time to the same policy, or is refused.
func FuzzCompile(f *testing.F) {
	f.Add(head + "deny contains \"x\" if input.a\n")
	f.Add("# METADATA\n# custom: {type: mutate, match: {}}\npackage gatehouse.policy.p\n\npatch := []\n")
	f.Add("package gatehouse.lib.x\n\nf(x) := y if y := [x | x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := policies.CompileAlone(text)
		if err != nil {
			return
		}
		second, err := policies.CompileAlone(text)
		if err != nil {
			t.Fatalf("compiled once, then: %v", err)
		}
		if diff := cmp.Diff(first.Policies(), second.Policies()); diff != "" {
			t.Error(diff)
		}
	})
}
