package cel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	apiservercel "k8s.io/apiserver/pkg/cel"

	"github.com/gatehouse/gatehouse/internal/cel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runaway goes through all triples of a list of 1,000 elements.
const runaway = `object.list.all(x, object.list.all(y, object.list.all(z, x + y + z >= 0)))`

func list(n int) []any {
	l := make([]any, n)
	for i := range l {
		l[i] = int64(i)
	}
	return l
}

func TestCompileTexts(t *testing.T) {
	scope := cel.NewAdmission().Scope(cel.Has{})
	for name, test := range map[string]struct {
		expression string
		want       []*celgo.Type
		err        string
	}{
		"a condition":              {"object.x > 1", []*celgo.Type{celgo.BoolType}, ""},
		"libraries of Kubernetes":  {"quantity('1Gi').isGreaterThan(quantity('1Mi')) && isIP('::1') && semver('1.2.3').major() == 1", []*celgo.Type{celgo.BoolType}, ""},
		"another type than wanted": {"'x'", []*celgo.Type{celgo.BoolType}, "must evaluate to bool but got string"},
		"none of several types":    {"1", []*celgo.Type{celgo.StringType, celgo.NullType}, "must evaluate to one of [string null_type] but got int"},
		"no such variable": {"nosuch", nil, "compilation failed: ERROR: <input>:1:1: undeclared reference to 'nosuch' (in container '')\n" +
			" | nosuch\n | ^"},
		"no such field of the request": {"request.nosuch == 1", nil, "compilation failed: ERROR: <input>:1:8: undefined field 'nosuch'\n" +
			" | request.nosuch == 1\n | .......^"},
		"params without a kind of them": {"params.x", nil, "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n" +
			" | params.x\n | ^"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []cel.Mode{cel.New, cel.Stored} {
				_, err := scope.Compile(test.expression, mode, test.want...)
				text := ""
				if err != nil {
					text = err.Error()
				}
				if diff := cmp.Diff(test.err, text); diff != "" {
					t.Errorf("%s:\n%s", mode, diff)
				}
			}
		})
	}
}

func TestEval(t *testing.T) {
	scope := cel.NewScope(cel.Variable{Name: "object"}, cel.Variable{Name: "name", Type: celgo.StringType})
	const dear = `object.list.all(x, !object.text.contains('b'))`
	values := map[string]any{"object": map[string]any{"list": list(1000), "n": int64(3), "text": strings.Repeat("a", 1<<20)}, "name": "web"}
	for name, test := range map[string]struct {
		expression string
		want       any
		err        string
	}{
		"a field":         {"object.n + 1", int64(4), ""},
		"a text":          {"name.startsWith('w')", true, ""},
		"a missing field": {"object.nosuch", nil, "expression 'object.nosuch' resulted in error: no such key: nosuch"},
		"costs too much":  {dear, nil, "expression '" + dear + "' resulted in error: operation cancelled: actual cost limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := scope.Compile(test.expression, cel.Stored)
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.Eval(t.Context(), values, cel.NewBudget(cel.BindingBudget))
			if text := textOf(err); text != test.err {
				t.Fatalf("got %q, want %q", text, test.err)
			}
			if err == nil && v.Value() != test.want {
				t.Errorf("got %v, want %v", v.Value(), test.want)
			}
		})
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestBudgetStaysSpent guards against a decision that goes on after it has cost too much.
// TestQuantitiesAreBounded: a client's text that a policy takes for a quantity must not keep a core. The exponent is one that the library can
// still do, so that the test fails where it gets there.
func TestQuantitiesAreBounded(t *testing.T) {
	scope := cel.NewAdmission().Scope(cel.Has{Params: true, Authorizer: true})
	for expression, want := range map[string]string{
		`isQuantity(object.huge)`:                                                    "false",
		`isQuantity(object.text)`:                                                    "true",
		`quantity(object.text).add(quantity('1')).asInteger()`:                       "3",
		`quantity(object.huge).isGreaterThan(quantity('1'))`:                         "a quantity has at most",
		`quantity(object.list[0])`:                                                   "no such overload",
		`[string(object.huge), '1'].all(x, isQuantity(x))`:                           "false",
		`quantity('1e-1500') == quantity('1n')`:                                      "a quantity has at most",
		`quantity('1Gi').compareTo(quantity(object.text)) == 1 && isQuantity('2e3')`: "true",
	} {
		p, err := scope.Compile(expression, cel.Stored)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		value, err := p.Eval(t.Context(), map[string]any{
			"object": map[string]any{"huge": "1e-1500", "text": "2", "list": []any{int64(1)}},
		}, cel.NewBudget(cel.BindingBudget))
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(value.Value())
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
	}
}

func TestBudgetStaysSpent(t *testing.T) {
	scope := cel.NewScope(cel.Variable{Name: "object"})
	p, err := scope.Compile("object.list.all(x, x >= 0)", cel.Stored)
	if err != nil {
		t.Fatal(err)
	}
	cheap, err := scope.Compile("true", cel.Stored)
	if err != nil {
		t.Fatal(err)
	}
	budget := cel.NewBudget(10)
	if _, err := p.Eval(t.Context(), map[string]any{"object": map[string]any{"list": list(100)}}, budget); !errors.Is(err, apiservercel.ErrOutOfBudget) {
		t.Fatalf("the budget did not hold: %v", err)
	}
	if _, err := cheap.Eval(t.Context(), map[string]any{}, budget); !errors.Is(err, apiservercel.ErrOutOfBudget) {
		t.Errorf("evaluated after the budget was spent: %v", err)
	}
}

func TestEvalEndsWithItsContext(t *testing.T) {
	p, err := cel.NewScope(cel.Variable{Name: "object"}).Compile(runaway, cel.Stored)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Eval(ctx, map[string]any{"object": map[string]any{"list": list(1000)}}, cel.NewBudget(cel.BindingBudget))
	if err == nil || !strings.Contains(err.Error(), "operation interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestVariables(t *testing.T) {
	scopes, variables := cel.NewAdmission(), cel.NewVariables(5)
	scope := scopes.ScopeFor(cel.Has{Params: true}, variables)
	for _, v := range [][2]string{
		{"image", "object.image"},
		{"parts", "variables.image.split('/')"},
		{"broken", "variables.later"},
		{"failing", "object.nosuch"},
		{"dear", "object.list.all(x, x >= 0)"},
	} {
		p, err := scope.Compile(v[1], cel.Stored)
		variables.Add(v[0], p, err)
	}
	for name, test := range map[string]struct {
		expression string
		budget     int64
		want       any
		err        string
	}{
		"one that uses another":       {"variables.parts[0] + params.suffix", 1000, "registry.example-x", ""},
		"its type is known":           {"variables.parts > 1", 1000, nil, "found no matching overload for '_>_' applied to '(list(string), int)'"},
		"an unknown one":              {"variables.nosuch", 1000, nil, "undefined field 'nosuch'"},
		"one that does not compile":   {"variables.broken", 1000, nil, `composited variable "broken" fails to compile: compilation failed: ERROR: <input>:1:10: undefined field 'later'`},
		"one that fails":              {"variables.failing", 1000, nil, `composited variable "failing" fails to evaluate: no such key: nosuch`},
		"its cost is off the budget":  {"variables.dear", 100, nil, "running out of cost budget"},
		"none is evaluated if unused": {"true", 1, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := scope.Compile(test.expression, cel.Stored)
			if err == nil {
				budget := cel.NewBudget(test.budget)
				values := map[string]any{
					"object": map[string]any{"image": "registry.example/app", "list": list(100)}, "params": map[string]any{"suffix": "-x"},
				}
				variables.Bind(t.Context(), values, budget)
				v, e := p.Eval(t.Context(), values, budget)
				if err = e; err == nil && v.Value() != test.want {
					t.Errorf("got %v, want %v", v.Value(), test.want)
				}
			}
			if text := textOf(err); (text == "") != (test.err == "") || !strings.Contains(text, test.err) {
				t.Errorf("got %q, want %q", text, test.err)
			}
		})
	}
}

// TestPatchesWithVariables guards the order of the type providers: both the types of patches and the variables must be found.
func TestPatchesWithVariables(t *testing.T) {
	variables := cel.NewVariables(1)
	scope := cel.NewAdmission().ScopeFor(cel.Has{Patches: true, Authorizer: true}, variables)
	p, err := scope.Compile("1", cel.Stored)
	variables.Add("n", p, err)
	for expression, want := range map[string]*celgo.Type{
		`Object{spec: Object.spec{replicas: variables.n}}`:                       types.NewObjectType("Object"),
		`[JSONPatch{op: "add", path: "/spec/replicas", value: variables.n}]`:     celgo.ListType(types.NewObjectType("JSONPatch")),
		`authorizer.group('').resource('pods').check('create').allowed()`:        celgo.BoolType,
		`[JSONPatch{op: "test", path: "/a/" + jsonpatch.escapeKey("x/y")}] + []`: celgo.ListType(types.NewObjectType("JSONPatch")),
	} {
		if _, err := scope.Compile(expression, cel.Stored, want); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// FuzzCompile guards the server against expressions that panic or never end, as clients write them.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"object.x > 1", runaway, "[1,2].map(x, x)", "variables.x", "'" + strings.Repeat("a", 100), "((((((((1))))))))", "quantity('x')", "\x00"} {
		f.Add(seed)
	}
	scope := cel.NewAdmission().Scope(cel.Has{Params: true})
	f.Fuzz(func(t *testing.T, expression string) {
		if len(expression) > 4<<10 {
			return
		}
		p, err := scope.Compile(expression, cel.New)
		if err != nil {
			return
		}
		values := map[string]any{"object": map[string]any{"x": int64(1)}, "oldObject": nil, "params": nil, "request": map[string]any{}, "namespaceObject": nil}
		budget := cel.NewBudget(cel.BindingBudget)
		if _, err := p.Eval(t.Context(), values, budget); err == nil && budget.Left() < 0 {
			t.Errorf("%q succeeded beyond its budget", expression)
		}
	})
}

func BenchmarkEval(b *testing.B) {
	p, err := cel.NewAdmission().Scope(cel.Has{}).Compile("object.spec.replicas <= 5 && has(object.metadata)", cel.Stored)
	if err != nil {
		b.Fatal(err)
	}
	values := map[string]any{"object": map[string]any{"spec": map[string]any{"replicas": int64(3)}, "metadata": map[string]any{}}}
	for b.Loop() {
		if _, err := p.Eval(b.Context(), values, cel.NewBudget(cel.BindingBudget)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDevices(t *testing.T) {
	devices := cel.NewDevices()
	for name, test := range map[string]struct {
		expression string
		cheap      bool
		err        string
	}{
		"a driver":             {`device.driver == "x"`, true, ""},
		"an unknown type":      {`device.attributes["x"].y`, true, ""},
		"another type":         {`device.driver`, false, "must evaluate to bool or the unknown type, not string"},
		"every fourfold tuple": {`device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a + b + c + d != ""))))`, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time from memory
				cost, err := devices.Compile(test.expression, cel.New)
				if textOf(err) != test.err {
					t.Fatalf("got %v", err)
				}
				if err == nil && (cost < 1_000_000) != test.cheap {
					t.Errorf("costs %d", cost)
				}
			}
		})
	}
}

func BenchmarkDevices(b *testing.B) {
	devices := cel.NewDevices()
	for i := 0; b.Loop(); i++ {
		if _, err := devices.Compile(fmt.Sprintf(`device.driver == "x%d"`, i), cel.New); err != nil {
			b.Fatal(err)
		}
	}
}
