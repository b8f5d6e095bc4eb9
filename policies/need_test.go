package policies_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/policies"
)

// TestNeed: what must be among the names of an object for a policy to be asked. An empty need means that it is always asked.
func TestNeed(t *testing.T) {
	for name, test := range map[string]struct{ rules, want string }{
		"the fields of a reference":         {`deny contains "x" if input.object.spec.hostNetwork == true`, "spec hostNetwork"},
		"fields behind a variable":          {`deny contains "x" if { some c in input.object.spec.containers; c.tty }`, "spec containers tty"},
		"the operand of a call":             {`deny contains "x" if is_object(input.object.a.b)`, "a b"},
		"one of several rules":              {"deny contains \"x\" if input.object.a\ndeny contains \"y\" if input.object.b", "a | b"},
		"a rule without a condition":        {"deny contains \"x\" if input.object.a\ndeny contains \"y\"", ""},
		"what the input has besides":        {`deny contains "x" if { input.object; input.user.name == "a"; input.parameters.p; input.namespaceLabels }`, "p"},
		"a computed field":                  {`deny contains "x" if { n := lower("A"); input.object.a[n] }`, "a"},
		"negation":                          {`deny contains "x" if { input.object.a; not input.object.b }`, "a"},
		"a negated rule":                    {"deny contains \"x\" if { input.object.a; not fine }\nfine if input.object.b", "a"},
		"every":                             {`deny contains "x" if { every c in input.object.a { c == input.object.b } }`, "a"},
		"a comprehension":                   {`deny contains "x" if { n := count([c | c := input.object.a.b]); n == 0 }`, ""},
		"a comprehension that is run over":  {`deny contains "x" if { some c in [d | some d in input.object.a]; c.b }`, "b"},
		"with":                              {"deny contains \"x\" if r with input as {\"object\": {\"a\": 1}}\nr if input.object.a", ""},
		"a value under with":                {"deny contains \"x\" if { v := r with input as other; v.a }\nr := input.object\nother := json.unmarshal(\"{}\")", ""},
		"or":                                {"import future.keywords.or\ndeny contains \"x\" if { input.object.a; input.object.b or input.object.c }", "a"},
		"a rule":                            {"deny contains \"x\" if r\nr if input.object.a", "a"},
		"a rule with else":                  {"deny contains \"x\" if r\nr := true if input.object.a\nelse := true if input.object.b", "a | b"},
		"a rule with a default":             {"deny contains \"x\" if r\ndefault r := true\nr := false if input.object.a", ""},
		"a field of a rule":                 {"deny contains \"x\" if r.b\nr := input.object.a", "a b"},
		"a field of a default":              {"deny contains \"x\" if r.b\ndefault r := {}\nr := input.object.a", "b"},
		"a rule of several values":          {"deny contains \"x\" if r.b\nr := input.object.a\nr := input.object.c.d", "a b | c d b"},
		"a set":                             {"deny contains \"x\" if { some v in r; v.b }\nr contains input.object.a", "a"},
		"a set that may be empty":           {"deny contains \"x\" if count(r) == 0\nr contains input.object.a", ""},
		"the element of a set":              {"deny contains \"x\" if r.b\nr contains input.object.a", "a"},
		"the element of a set of texts":     {"deny contains \"x\" if { s := {n | n := input.object.a}; s.b }", ""},
		"a literal set":                     {"deny contains \"x\" if { s := {\"b\", input.object.a}; s.c }", "a"},
		"an object by names of its own":     {"deny contains \"x\" if { some c in list; c.item.b }\nlist := [{\"item\": c} | some c in input.object.a]", "b"},
		"a name that some policy makes up":  {"deny contains \"x\" if input.object.b.c\nother := {\"b\": 1}", "c"},
		"an object by names of the input":   {"deny contains \"x\" if { o := {k: 1 | some k in input.object.a}; o.b }", ""},
		"a partial object":                  {"deny contains \"x\" if o.b\no[k] := 1 if some k in input.object.a", "a"},
		"an object that a builtin makes":    {"deny contains \"x\" if { o := json.unmarshal(input.object.a); o.b }", "a"},
		"a union":                           {"deny contains \"x\" if { o := object.union(input.object.a, {}); o.b }", "a"},
		"object.get":                        {"deny contains \"x\" if { o := object.get(input.object, \"a\", {}); o.b }", "b"},
		"object.get of what is not known":   {"deny contains \"x\" if { o := object.get(json.unmarshal(input.object.a), \"a\", {}); o.b }", "a"},
		"array.concat":                      {"deny contains \"x\" if { some c in array.concat(input.object.a, [input.object.c]); c.b }", "a c b"},
		"a function":                        {"deny contains \"x\" if f(input.object)\nf(o) if { o.b; input.object.c }", "c"},
		"the value of a function":           {"deny contains \"x\" if f(input.object).b\nf(o) := o.spec", "b"},
		"the value of an unclear function":  {"deny contains \"x\" if f(input.object).b\nf(o) := json.unmarshal(o.spec)", ""},
		"an argument that is not known":     {"deny contains \"x\" if f(json.unmarshal(\"{}\")).b\nf(o) := o.spec", ""},
		"names that begin with":             {`deny contains "x" if { some k, v in input.object.metadata.annotations; startswith(k, "a/") }`, "metadata annotations a/*"},
		"values that begin with":            {`deny contains "x" if { some k, v in input.object.metadata.annotations; startswith(v, "a/") }`, "metadata annotations"},
		"a beginning of what is not a name": {`deny contains "x" if startswith(input.name, "a/")`, ""},
		"a beginning that somebody has":     {"deny contains \"x\" if { some k, v in input.object.metadata; startswith(k, \"na\") }", "metadata"},
		"destructuring":                     {`deny contains "x" if { [p, _] := input.object.a; p.b }`, "a"},
		"variables in a ring":               {`deny contains "x" if { a = b; b = c; c = a; a = json.unmarshal("{}"); c.b }`, ""},
		"variables in a ring with the input": {
			`deny contains "x" if { a = b; b = c; c = a; a = input.object.q; c.b }`, "q b",
		},
		"the same name in two comprehensions": {
			`deny contains "x" if { p := [x | x = input.object.a]; q := [x | some x in {{"k"}}]; some e in q; e.c; count(p) > 0 }`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policies.NeedOf(head + test.rules + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNeedLosesNothing puts objects by chance to policies by chance.
func TestNeedLosesNothing(t *testing.T) {
	spared := 0
	for seed := range uint64(1000) {
		r := author{rand.New(rand.NewPCG(seed, 2))}
		text := r.policy()
		e, err := policies.Alone(text)
		if err != nil {
			continue // it does not compile
		}
		for range 20 {
			spared += losesNothing(t, e, text, r.object(4))
		}
	}
	t.Logf("%d times a policy was not asked", spared)
	if spared < 1000 {
		t.Errorf("only %d times a policy was not asked: the test shows little", spared)
	}
}

// losesNothing compares the answer with that of Rego alone, and returns 1 if the policy was not asked.
func losesNothing(t *testing.T, e *policies.Engine, text string, object any) int {
	t.Helper()
	o, ok := object.(map[string]any)
	if !ok {
		return 0
	}
	review := podReview(o)
	want, concerned, err := e.AskAll(context.Background(), review)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Validate(context.Background(), review)
	if err != nil {
		t.Fatal(err)
	}
	failed := len(want) == 1 && strings.HasPrefix(want[0].Message, "the policy could not be evaluated")
	if diff := cmp.Diff(want, got); diff != "" && !failed {
		raw, _ := json.Marshal(o)
		t.Fatalf("%s\nobject %s\n%s", text, raw, diff)
	}
	return 1 - concerned
}

// FuzzNeed does the same with policies and objects of the fuzzer's.
func FuzzNeed(f *testing.F) {
	f.Add(`deny contains "x" if input.object.a.b`, `{"a": {"b": 1}}`)
	f.Add("deny contains \"x\" if { s := {n | some n in input.object.a}; s.b }", `{"a": ["b"]}`)
	f.Add("deny contains \"x\" if { o := {k: 1 | some k in input.object.a}; o.b }", `{"a": ["b"]}`)
	f.Add("deny contains \"x\" if { some k, v in input.object; startswith(k, \"a/\") }", `{"a/b": 1}`)
	f.Fuzz(func(t *testing.T, rules, object string) {
		e, err := policies.Alone(head + rules + "\n")
		if err != nil {
			return
		}
		var o any
		if json.Unmarshal([]byte(object), &o) == nil {
			losesNothing(t, e, rules, o)
		}
	})
}

// author writes policies and objects in few names, so that they meet. Objects have the names a and b, and as values also those that
// only policies ask for.
type author struct{ *rand.Rand }

func (r author) pick(from ...string) string { return from[r.IntN(len(from))] }

func (r author) name() string { return r.pick("a", "b", "c", "d") }

// object is a value as JSON has it.
func (r author) object(depth int) any {
	if depth < 4 && (depth == 0 || r.IntN(3) == 0) {
		return []any{"c", "d", int64(1), []any{}}[r.IntN(4)]
	}
	if depth < 4 && r.IntN(3) == 0 {
		list := make([]any, r.IntN(3))
		for i := range list {
			list[i] = r.object(depth - 1)
		}
		return list
	}
	o := map[string]any{}
	for range 1 + r.IntN(2) {
		o[r.pick("a", "b")] = r.object(depth - 1)
	}
	return o
}

func (r author) policy() string {
	var b strings.Builder
	b.WriteString(head)
	for range 1 + r.IntN(2) {
		fmt.Fprintf(&b, "deny contains \"x\" if {\n%s}\n\n", r.body([]string{"input.object", "value", "parts", "list"}))
	}
	fmt.Fprintf(&b, "value := v if {\n%s\tv := %s\n}\n\n", r.body([]string{"input.object"}), r.part("input.object"))
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "else := %s\n\n", r.part("input.object"))
	}
	b.WriteString("other := json.unmarshal(`{\"object\": {\"c\": {\"d\": [1]}, \"d\": {\"c\": 1}}, \"c\": [{\"d\": 1}]}`)\n\n")
	fmt.Fprintf(&b, "parts contains v if {\n%s\tsome v in %s\n}\n\n", r.body([]string{"input.object"}), r.part("input.object"))
	fmt.Fprintf(&b, "list := [%s | some v in %s]\n\n", r.pick("v", `{"e": v}`, `v.a`, `{v}`), r.part("input.object"))
	fmt.Fprintf(&b, "f(x) := %s\n", r.part("x"))
	if r.IntN(3) == 0 {
		b.WriteString("\ndefault value := {}\n")
	}
	return b.String()
}

// part is a path into what is known.
func (r author) part(of string) string {
	for range r.IntN(3) {
		of += r.pick("."+r.name(), "[_]", `["`+r.name()+`"]`)
	}
	return of
}

// body is a list of expressions that use what is known, and what those before have made known.
func (r author) body(known []string) string {
	var b strings.Builder
	known, before := slices.Clone(known), len(known)
	for i := range r.IntN(4) {
		x, y := fmt.Sprintf("x%d", i), r.part(known[max(r.IntN(len(known)), r.IntN(len(known)))]) // later ones more often
		makes := map[string]string{
			"is": "VAR := %s", "in": "some VAR in %s", "list": "VAR := [v | v := %s]", "set": "VAR := {v | v := %s}", "function": "VAR := f(%s)",
			"names": "some VAR, _ in %s", "record": `VAR := {"e": %s}`, "object": "VAR := {v: {v: 1} | v := %s}", "get": `VAR := object.get(%s, "a", {})`,
			"made": "VAR := [other, %s]", "concat": "VAR := array.concat([1], %s)", "unify": "[VAR, _] = %s",
		}
		tests := []string{"%s", "not %s", "%s == 1", "is_object(%s)", "count(%s) > 0", "every v in %s { v.a }", "%s with input as other", `startswith(%s, "a")`}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "\t"+strings.ReplaceAll(makes[r.pick(slices.Sorted(maps.Keys(makes))...)], "VAR", x)+"\n", y)
			known = append(known, x)
		} else {
			fmt.Fprintf(&b, "\t"+r.pick(tests...)+"\n", y)
		}
	}
	if made := known[before:]; len(made) > 0 { // a variable that is not used is an error
		fmt.Fprintf(&b, "\tcount([%s]) > 0\n", strings.Join(made, ", "))
	}
	if b.Len() == 0 {
		return "\t" + r.part(known[r.IntN(len(known))]) + "\n"
	}
	return b.String()
}
