package policies

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
)

// MaxCases bounds the cases of one file, each of an each list counted.
const MaxCases = 10_000

// caseTimeout bounds one case; it is long because cases run on busy machines and nobody waits for one.
const caseTimeout = time.Minute

// Verdicts of a case.
const (
	wantAllow  = "allow"
	wantChange = "change" // of a mutate policy: the object was changed
	wantSkip   = "skip"   // the policy does not match the input
)

// caseFile is the content of NAME.cases.yaml.
type caseFile struct {
	// Policy is the policy's name; empty means NAME.
	Policy string `json:"policy,omitempty"`
	// Base is the input that every case starts from.
	Base map[string]any `json:"base"`
	// Cases are evaluated independently.
	Cases []policyCase `json:"cases"`
}

type policyCase struct {
	Name string `json:"name"`
	// Each makes one case for each entry; $each stands for it in all strings of the case.
	Each []string `json:"each,omitempty"`
	// Parameters override the policy's, by name.
	Parameters map[string]any `json:"parameters,omitempty"`
	// Patch (RFC 6902: add, replace, remove) makes the input from the base.
	Patch []any `json:"patch,omitempty"`
	// Want is allow, deny, warn, audit, change or skip.
	Want string `json:"want"`
	// Message and Field must be part of one violation's, where they are given.
	Message string `json:"message,omitempty"`
	Field   string `json:"field,omitempty"`
	// Result is the patch that makes the expected object from the input's, for want: change.
	Result []any `json:"result,omitempty"`
}

// caseInput is the document that base and patch make.
type caseInput struct {
	Operation       string            `json:"operation,omitempty"` // empty is CREATE
	Resource        string            `json:"resource,omitempty"`
	Subresource     string            `json:"subresource,omitempty"`
	Namespace       string            `json:"namespace,omitempty"` // empty is that of the object's metadata
	Name            string            `json:"name,omitempty"`      // likewise
	Object          map[string]any    `json:"object,omitempty"`
	OldObject       map[string]any    `json:"oldObject,omitempty"`
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`
	DryRun          bool              `json:"dryRun,omitempty"`
	User            struct {
		Name   string              `json:"name,omitempty"`
		UID    string              `json:"uid,omitempty"`
		Groups []string            `json:"groups,omitempty"`
		Extra  map[string][]string `json:"extra,omitempty"`
	} `json:"user,omitzero"`
	Request struct {
		Verb        string `json:"verb,omitempty"`
		Group       string `json:"group,omitempty"`
		Version     string `json:"version,omitempty"`
		Resource    string `json:"resource,omitempty"`
		Subresource string `json:"subresource,omitempty"`
		Namespace   string `json:"namespace,omitempty"`
		Name        string `json:"name,omitempty"`
		Path        string `json:"path,omitempty"`
	} `json:"request,omitzero"`
}

// CaseResult is the outcome of one case.
type CaseResult struct {
	File, Policy, Name string
	Pass               bool
	// Want and Got are verdicts (allow, deny, warn, audit, change, skip, or error) with what the case says about messages
	// and what the policy said.
	Want, Got string
}

// TestLibrary runs the cases of the embedded library.
func TestLibrary(ctx context.Context) ([]CaseResult, error) {
	return runCases(ctx, Bundle{}, library())
}

// Test runs the cases (*.cases.yaml) in the root of a policy directory against its policies and the library's, with the parameters
// that its configuration sets. The error is for files that cannot be read or compiled and names them; a case that fails is a result.
func Test(ctx context.Context, dir fs.FS) ([]CaseResult, error) {
	b, err := ReadBundle(dir)
	if err != nil {
		return nil, err
	}
	return runCases(ctx, b, dir)
}

func runCases(ctx context.Context, b Bundle, dir fs.FS) ([]CaseResult, error) {
	set, err := Compile(b)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(dir, "*"+casesSuffix)
	if err != nil {
		return nil, err
	}
	e, err := New(Options{Timeout: caseTimeout})
	if err != nil {
		return nil, err
	}
	var results []CaseResult
	var errs []error
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return results, err
		}
		r, err := e.runFile(ctx, set, dir, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		results = append(results, r...)
	}
	return results, errors.Join(errs...)
}

func (e *Engine) runFile(ctx context.Context, set *Set, dir fs.FS, name string) ([]CaseResult, error) {
	text, err := readFile(dir, name)
	if err != nil {
		return nil, err
	}
	f, err := parseCases(text)
	if err != nil {
		return nil, err
	}
	f.Policy = cmp.Or(f.Policy, strings.TrimSuffix(name, casesSuffix))
	i := slices.IndexFunc(set.policies, func(p *policy) bool { return p.name == f.Policy })
	if i < 0 {
		names := make([]string, len(set.policies))
		for j, p := range set.policies {
			names[j] = p.name
		}
		return nil, fmt.Errorf("there is no policy %q%s", f.Policy, suggest(f.Policy, names))
	}
	results := make([]CaseResult, 0, len(f.Cases))
	for _, c := range f.Cases {
		got, pass := e.runCase(ctx, set, set.policies[i], f.Base, c)
		results = append(results, CaseResult{File: name, Policy: f.Policy, Name: c.Name, Pass: pass, Want: c.wanted(), Got: got})
	}
	return results, nil
}

// parseCases decodes a file strictly and expands each.
func parseCases(text []byte) (*caseFile, error) {
	var f caseFile
	if err := decodeYAML(text, &f); err != nil {
		return nil, err
	}
	var cases []policyCase
	for i, c := range f.Cases {
		if c.Name == "" || !slices.Contains([]string{wantAllow, wantChange, wantSkip, string(ActionDeny), string(ActionWarn), string(ActionAudit)}, c.Want) {
			return nil, fmt.Errorf("cases[%d] (%s): name is required, and want must be allow, deny, warn, audit, change or skip", i, c.Name)
		}
		expanded, err := c.expand()
		if err != nil {
			return nil, fmt.Errorf("cases[%d] (%s): %w", i, c.Name, err)
		}
		if cases = append(cases, expanded...); len(cases) > MaxCases {
			return nil, fmt.Errorf("more than %d cases", MaxCases)
		}
	}
	f.Cases = cases
	return &f, nil
}

func (c policyCase) expand() ([]policyCase, error) {
	if len(c.Each) == 0 {
		return []policyCase{c}, nil
	}
	each := c.Each
	c.Each = nil
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cases := make([]policyCase, len(each))
	for i, value := range each {
		quoted, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		text := strings.ReplaceAll(string(raw), "$each", string(quoted[1:len(quoted)-1]))
		if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(text), &cases[i]); err != nil {
			return nil, err
		}
		cases[i].Name += " (" + value + ")"
	}
	return cases, nil
}

func (c policyCase) wanted() string {
	s := c.Want
	if c.Message != "" {
		s += fmt.Sprintf(" with message %q", c.Message)
	}
	if c.Field != "" {
		s += " at " + c.Field
	}
	return s
}

// runCase returns what the policy says to the input, and whether that is wanted.
func (e *Engine) runCase(ctx context.Context, set *Set, p *policy, base map[string]any, c policyCase) (got string, pass bool) {
	fail := func(err error) (string, bool) { return "error: " + err.Error(), false }
	in, err := c.input(base)
	if err != nil {
		return fail(err)
	}
	run := *p
	run.meta.Action = p.declared
	merged, err := mergeParameters(p.meta.Parameters, c.Parameters)
	if err != nil {
		return fail(err)
	}
	if run.parameters, err = parametersTerm(merged); err != nil {
		return fail(err)
	}
	x := buildIndex([]*policy{&run})
	e.begin(ctx, set, func(ev *evaluation) {
		switch run.meta.Type {
		case Mutate:
			got, pass, err = c.runMutate(ev, &run, x, in.review())
		case Authorize:
			got, pass, err = c.runAuthorize(ev, &run, x, in)
		default:
			r := in.review()
			if len(r.matching(x)) == 0 {
				got, pass = wantSkip, c.Want == wantSkip
				return
			}
			var shared pairs
			if shared, err = r.input(ev.values); err == nil {
				got, pass, err = c.runDeny(ev, &run, shared)
			}
		}
	})
	if err != nil {
		return fail(err)
	}
	return got, pass
}

func (c policyCase) runAuthorize(ev *evaluation, p *policy, x *index, in caseInput) (string, bool, error) {
	info := api.RequestInfo{
		IsResource: in.Request.Path == "", Path: in.Request.Path, Verb: in.Request.Verb, Group: in.Request.Group, Version: in.Request.Version,
		Resource: in.Request.Resource, Subresource: in.Request.Subresource, Namespace: in.Request.Namespace, Name: in.Request.Name,
	}
	if len(x.find(key{info.Verb, info.Group, info.Resource, info.Subresource})) == 0 || !p.inNamespace(info.Namespace, nil) {
		return wantSkip, c.Want == wantSkip, nil
	}
	return c.runDeny(ev, p, requestInput(in.user(), info))
}

func (c policyCase) runDeny(ev *evaluation, p *policy, shared pairs) (string, bool, error) {
	result, err := ev.eval(p, shared.with(p.parameters))
	if err != nil {
		return "", false, err
	}
	found, err := p.violations(result)
	if err != nil {
		return "", false, err
	}
	if len(found) == 0 {
		return wantAllow, c.Want == wantAllow, nil
	}
	action, said := found[0].Action, false
	texts := make([]string, len(found))
	for i, v := range found {
		texts[i] = v.String()
		said = said || (strings.Contains(v.Message, c.Message) && strings.Contains(v.Field, c.Field))
		if action.milder(v.Action) {
			action = v.Action
		}
	}
	return string(action) + ": " + strings.Join(texts, "; "), c.Want == string(action) && said, nil
}

func (c policyCase) runMutate(ev *evaluation, p *policy, x *index, r *Review) (string, bool, error) {
	if len(r.matching(x)) == 0 {
		return wantSkip, c.Want == wantSkip, nil
	}
	object, err := genericObject(r.Object, r.groupVersionKind())
	if err != nil {
		return "", false, err
	}
	patched, err := ev.patch(p, r, object)
	if err != nil {
		return "", false, err
	}
	if patched == nil {
		return wantAllow, c.Want == wantAllow, nil
	}
	expected, err := applyPatch(object, c.Result)
	if err != nil {
		return "", false, fmt.Errorf("result: %w", err)
	}
	shown, err := json.Marshal(patched)
	return wantChange + ": " + string(shown), c.Want == wantChange && reflect.DeepEqual(expected, patched), err
}

func (c policyCase) input(base map[string]any) (in caseInput, err error) {
	document := base
	if len(c.Patch) > 0 {
		if document, err = applyPatch(base, c.Patch); err != nil {
			return in, err
		}
	}
	raw, err := json.Marshal(document)
	if err != nil {
		return in, err
	}
	strict, err := kjson.UnmarshalStrict(raw, &in)
	return in, errors.Join(append(strict, err)...)
}

func (in caseInput) user() api.User {
	return api.User{Name: cmp.Or(in.User.Name, "alice"), UID: in.User.UID, Groups: in.User.Groups, Extra: in.User.Extra}
}

func (in caseInput) review() *Review {
	o := in.Object
	if o == nil {
		o = in.OldObject
	}
	apiVersion, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	meta, _ := o["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	r := &Review{
		Operation: cmp.Or(in.Operation, "CREATE"), Group: group, Version: version, Kind: kind,
		Resource: cmp.Or(in.Resource, strings.ToLower(kind)+"s"), Subresource: in.Subresource,
		Namespace: cmp.Or(in.Namespace, namespace), Name: cmp.Or(in.Name, name), User: in.user(),
		NamespaceLabels: in.NamespaceLabels, DryRun: in.DryRun,
	}
	if in.Object != nil {
		r.Object = in.Object
	}
	if in.OldObject != nil {
		r.OldObject = in.OldObject
	}
	return r
}
