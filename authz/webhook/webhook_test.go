package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/webhook"
)

// service answers with a fixed text, and keeps what it was asked.
type service struct {
	mu     sync.Mutex
	answer string
	err    error
	asked  []string
}

func (s *service) Post(_ context.Context, question, answer any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked = append(s.asked, string(text)); s.err != nil {
		return s.err
	}
	return json.Unmarshal([]byte(s.answer), answer)
}

// saying is an answer with a status.
func saying(version, status string) string {
	return `{"apiVersion":"authorization.k8s.io/` + version + `","kind":"SubjectAccessReview","status":` + status + `}`
}

// fixture is an authorizer with its service and a clock that stands still.
type fixture struct {
	*webhook.Authorizer
	service *service
	now     time.Time
	log     bytes.Buffer
}

func newFixture(t *testing.T, change func(*webhook.Options)) *fixture {
	t.Helper()
	f := &fixture{service: &service{}, now: time.Unix(1e9, 0)}
	o := webhook.Options{
		Name: "test", Service: f.service, Version: webhook.V1, FailurePolicy: webhook.NoOpinion,
		AuthorizedTTL: time.Minute, UnauthorizedTTL: time.Second,
		Clock: func() time.Time { return f.now }, Logger: slog.New(slog.NewTextHandler(&f.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	var err error
	if f.Authorizer, err = webhook.New(o); err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	jane = api.User{Name: "jane", UID: "u", Groups: []string{"devs", "system:authenticated"}, Extra: map[string][]string{"k": {"v"}}}
	list = api.RequestInfo{
		IsResource: true, Path: "/apis/apps/v1/namespaces/ns/deployments", Verb: "list", Group: "apps", Version: "v1", Namespace: "ns",
		Resource: "deployments", FieldSelector: "metadata.name=x,spec.a!=b", LabelSelector: "a=b,c in (d),!e,f notin (g),h,i>5",
	}
)

func TestAnswers(t *testing.T) {
	tests := []struct {
		name, status string
		err          error
		policy       webhook.FailurePolicy
		want         authz.Decision
		reason, says string
	}{
		{"allowed", `{"allowed":true,"reason":"r"}`, nil, webhook.Deny, authz.Allow, "r", ""},
		{"denied", `{"denied":true,"reason":"r"}`, nil, webhook.NoOpinion, authz.Deny, "r", ""},
		{"neither", `{"reason":"r"}`, nil, webhook.Deny, authz.NoOpinion, "r", ""},
		{"both", `{"allowed":true,"denied":true}`, nil, webhook.NoOpinion, authz.Deny, "", "both allow and deny"},
		{"no answer, and others may allow", `{}`, errors.New("gone"), webhook.NoOpinion, authz.NoOpinion, "", "gone"},
		{"no answer, which denies", `{}`, errors.New("gone"), webhook.Deny, authz.Deny, "", "gone"},
		{"a long reason is cut", `{"allowed":true,"reason":"` + strings.Repeat("r", 5000) + `"}`, nil, webhook.Deny, authz.Allow, strings.Repeat("r", 4096), ""},
	}
	for _, version := range []string{webhook.V1, webhook.V1beta1} {
		for _, tt := range tests {
			t.Run(version+"/"+tt.name, func(t *testing.T) {
				f := newFixture(t, func(o *webhook.Options) { o.Version, o.FailurePolicy = version, tt.policy })
				f.service.answer, f.service.err = saying(version, tt.status), tt.err
				decision, reason, err := f.Authorize(t.Context(), jane, list)
				if decision != tt.want || reason != tt.reason || (err != nil) != (tt.says != "") || !strings.Contains(fmt.Sprint(err), tt.says) {
					t.Errorf("%v %q %v", decision, reason, err)
				}
				if tt.err != nil && !strings.Contains(f.log.String(), "gone") {
					t.Errorf("the log says nothing of the failure: %s", f.log.String())
				}
			})
		}
	}
}

// TestAnswersThatAreNone guards against taking something else for an answer that allows.
func TestAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]string{
		"another version": saying("v1beta1", `{"allowed":true}`),
		"another kind":    strings.Replace(saying("v1", `{"allowed":true}`), "SubjectAccessReview", "TokenReview", 1),
		"no object":       `[]`,
		"nothing":         ``,
	} {
		f := newFixture(t, func(o *webhook.Options) { o.FailurePolicy = webhook.Deny })
		f.service.answer = answer
		if decision, reason, err := f.Authorize(t.Context(), jane, list); decision != authz.Deny || err == nil {
			t.Errorf("%s: %v %q %v", name, decision, reason, err)
		}
	}
}

// TestAnswersMayLeaveOutWhatTheyAre is about services that kube-apiserver understands.
func TestAnswersMayLeaveOutWhatTheyAre(t *testing.T) {
	for _, answer := range []string{
		`{"status":{"allowed":true}}`, `{"kind":"SubjectAccessReview","status":{"allowed":true}}`,
		`{"apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`,
	} {
		f := newFixture(t, nil)
		f.service.answer = answer
		if decision, _, err := f.Authorize(t.Context(), jane, list); decision != authz.Allow || err != nil {
			t.Errorf("%s: %v %v", answer, decision, err)
		}
	}
}

func TestQuestions(t *testing.T) {
	tests := []struct {
		name, version string
		user          api.User
		info          api.RequestInfo
		want          string
	}{
		{
			"objects, with what of the selectors can be said", webhook.V1, jane, list,
			`{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{"resourceAttributes":{"namespace":"ns","verb":"list","group":"apps","version":"v1","resource":"deployments",` +
				`"fieldSelector":{"requirements":[{"key":"metadata.name","operator":"In","values":["x"]},{"key":"spec.a","operator":"NotIn","values":["b"]}]},` +
				`"labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]},{"key":"c","operator":"In","values":["d"]},{"key":"e","operator":"DoesNotExist"},{"key":"f","operator":"NotIn","values":["g"]},{"key":"h","operator":"Exists"}]}},` +
				`"user":"jane","groups":["devs","system:authenticated"],"extra":{"k":["v"]},"uid":"u"},"status":{"allowed":false}}`,
		},
		{
			"one object, in the older version", webhook.V1beta1,
			api.User{Name: "jane", Groups: []string{"devs"}},
			api.RequestInfo{IsResource: true, Verb: "update", Version: "v1", Namespace: "ns", Resource: "pods", Subresource: "status", Name: "p"},
			`{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1beta1","metadata":{},"spec":{"resourceAttributes":{"namespace":"ns","verb":"update","version":"v1","resource":"pods","subresource":"status","name":"p"},` +
				`"user":"jane","group":["devs"]},"status":{"allowed":false}}`,
		},
		{
			"a path", webhook.V1,
			api.User{Name: "jane"},
			api.RequestInfo{Path: "/metrics", Verb: "get"},
			`{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{"nonResourceAttributes":{"path":"/metrics","verb":"get"},"user":"jane"},"status":{"allowed":false}}`,
		},
		{
			"a selector that cannot be read", webhook.V1,
			api.User{Name: "jane"},
			api.RequestInfo{IsResource: true, Verb: "list", Resource: "pods", FieldSelector: "x", LabelSelector: "a in"},
			`{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{"resourceAttributes":{"verb":"list","resource":"pods"},"user":"jane"},"status":{"allowed":false}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(o *webhook.Options) { o.Version = tt.version })
			f.service.answer = saying(tt.version, `{}`)
			if _, _, err := f.Authorize(t.Context(), tt.user, tt.info); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want}, f.service.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnswersAreKept tells how often the service is asked the same question, a while after it was asked first.
func TestAnswersAreKept(t *testing.T) {
	large := list
	large.Name = strings.Repeat("x", webhook.MaxCachedBytes)
	tests := []struct {
		name, status string
		info         api.RequestInfo
		after        time.Duration
		change       func(*webhook.Options)
		err          error
		asked        int
	}{
		{"what allows, within its time", `{"allowed":true}`, list, time.Minute - 1, nil, nil, 1},
		{"what allows, after it", `{"allowed":true}`, list, time.Minute, nil, nil, 2},
		{"what does not, within its time", `{"denied":true}`, list, time.Second - 1, nil, nil, 1},
		{"what does not, after it", `{}`, list, time.Second, nil, nil, 2},
		{"what allows, not kept", `{"allowed":true}`, list, 0, func(o *webhook.Options) { o.AuthorizedTTL = 0 }, nil, 2},
		{"what does not, not kept", `{}`, list, 0, func(o *webhook.Options) { o.UnauthorizedTTL = 0 }, nil, 2},
		{"failures are not kept", `{}`, list, 0, nil, errors.New("gone"), 2},
		{"large requests are not kept", `{"allowed":true}`, large, 0, nil, nil, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, tt.change)
			f.service.answer, f.service.err = saying("v1", tt.status), tt.err
			first, _, _ := f.Authorize(t.Context(), jane, tt.info)
			f.now = f.now.Add(tt.after)
			second, _, _ := f.Authorize(t.Context(), jane, tt.info)
			if len(f.service.asked) != tt.asked || first != second {
				t.Errorf("asked %d times, want %d: %v, %v", len(f.service.asked), tt.asked, first, second)
			}
		})
	}
}

// TestCacheKeepsRequestsApart asks about requests that differ in one part each, among them parts that look alike when they are joined.
func TestCacheKeepsRequestsApart(t *testing.T) {
	f := newFixture(t, nil)
	f.service.answer = saying("v1", `{"allowed":true}`)
	type request struct {
		user api.User
		info api.RequestInfo
	}
	pods := api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods", Namespace: "a", Name: "b"}
	different := []request{
		{api.User{Name: "jane"}, pods},
		{api.User{Name: "jane", Groups: []string{"a", "b"}}, pods},
		{api.User{Name: "jane", Groups: []string{"a,b"}}, pods},
		{api.User{Name: "jane", Groups: []string{`a","b`}}, pods},
		{api.User{Name: "jane", UID: "a"}, pods},
		{api.User{Name: "jane", Extra: map[string][]string{"a": {"b"}}}, pods},
		{api.User{Name: "jane", Extra: map[string][]string{"a": {}, "b": {}}}, pods},
		{api.User{Name: "jane"}, api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods", Namespace: "a/b"}},
		{api.User{Name: "jane"}, api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods", Namespace: "a", Subresource: "b"}},
		{api.User{Name: "jane"}, api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods", FieldSelector: "a=b"}},
		{api.User{Name: "jane"}, api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods", LabelSelector: "a=b"}},
		{api.User{Name: "jane"}, api.RequestInfo{Verb: "get", Path: "/a"}},
	}
	for range 2 {
		for _, r := range different {
			if d, _, err := f.Authorize(t.Context(), r.user, r.info); d != authz.Allow || err != nil {
				t.Fatal(d, err)
			}
		}
	}
	if len(f.service.asked) != len(different) {
		t.Errorf("asked %d times about %d requests", len(f.service.asked), len(different))
	}
}

// TestCacheIsBounded fills the cache and asks about the oldest again.
func TestCacheIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	f.service.answer = saying("v1", `{"allowed":true}`)
	ask := func(i int) {
		info := list
		info.Name = fmt.Sprint(i)
		if _, _, err := f.Authorize(t.Context(), jane, info); err != nil {
			t.Fatal(err)
		}
	}
	for i := range webhook.CacheSize + 1 {
		ask(i)
	}
	before := len(f.service.asked)
	if ask(1); len(f.service.asked) != before {
		t.Error("what fits was forgotten")
	}
	if ask(0); len(f.service.asked) != before+1 {
		t.Error("more is kept than fits")
	}
}

func TestConditions(t *testing.T) {
	const (
		devs   = `'devs' in request.groups`
		kube   = `request.resourceAttributes.namespace == 'kube-system'`
		broken = `request.extra['absent'][0] == 'x'`
	)
	tests := []struct {
		name        string
		expressions []string
		policy      webhook.FailurePolicy
		asked       bool
		want        authz.Decision
		fails       bool
	}{
		{"none", nil, webhook.Deny, true, authz.Allow, false},
		{"true", []string{devs}, webhook.Deny, true, authz.Allow, false},
		{"false leaves it to others", []string{kube, devs}, webhook.Deny, false, authz.NoOpinion, false},
		{"false beats a failure", []string{broken, kube}, webhook.Deny, false, authz.NoOpinion, false},
		{"a failure denies", []string{devs, broken}, webhook.Deny, false, authz.Deny, true},
		{"a failure has no opinion", []string{devs, broken}, webhook.NoOpinion, false, authz.NoOpinion, true},
		{"selectors", []string{`request.resourceAttributes.fieldSelector.requirements.exists(r, r.key == 'metadata.name' && r.values[0] == 'x')`}, webhook.Deny, true, authz.Allow, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conditions, errs := webhook.Compile(field.NewPath("matchConditions"), tt.expressions)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			f := newFixture(t, func(o *webhook.Options) { o.Conditions, o.FailurePolicy = conditions, tt.policy })
			f.service.answer = saying("v1", `{"allowed":true}`)
			decision, _, err := f.Authorize(t.Context(), jane, list)
			if decision != tt.want || (err != nil) != tt.fails || (len(f.service.asked) == 1) != tt.asked {
				t.Errorf("%v %v, asked %d times", decision, err, len(f.service.asked))
			}
		})
	}
}

func TestConditionsThatAreNone(t *testing.T) {
	tests := []struct {
		name        string
		expressions []string
		want        string
	}{
		{"no CEL", []string{"true", "("}, `matchConditions[1].expression: Invalid value: "(": compilation failed: ERROR: <input>:1:2: Syntax error: mismatched input '<EOF>' expecting`},
		{"no condition", []string{"request.user"}, `matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool but got string`},
		{"what is not there", []string{"request.nothing == 'x'"}, "undefined field 'nothing'"},
		{"empty", []string{" "}, "matchConditions[0].expression: Required value"},
		{"twice", []string{"true", "true"}, `matchConditions[1].expression: Duplicate value: "true"`},
		{"too many", make([]string, 65), "matchConditions: Too many: 65: must have at most 64 items"},
	}
	for _, tt := range tests {
		conditions, errs := webhook.Compile(field.NewPath("matchConditions"), tt.expressions)
		if conditions != nil || len(errs) != 1 || !strings.Contains(errs[0].Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, errs)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		change     func(*webhook.Options)
	}{
		{"a version", `unsupported webhook authorizer version "v2", supported versions are "v1", "v1beta1"`, func(o *webhook.Options) { o.Version = "v2" }},
		{"a policy", `unknown failurePolicy ""`, func(o *webhook.Options) { o.FailurePolicy = "" }},
		{"nobody to ask", "missing", func(o *webhook.Options) { o.Service = nil }},
	}
	for _, tt := range tests {
		o := webhook.Options{Service: &service{}, Version: "v1", FailurePolicy: webhook.Deny, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)}
		tt.change(&o)
		if _, err := webhook.New(o); !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := newFixture(t, nil).RulesFor(jane, "ns"); fmt.Sprint(err) != "webhook authorizer does not support user rule resolution" {
		t.Error(err)
	}
}

// FuzzAnswer checks that nothing but an answer that says so allows.
func FuzzAnswer(f *testing.F) {
	f.Add(saying("v1", `{"allowed":true}`))
	f.Add(saying("v1", `{"allowed":true,"denied":true}`))
	f.Add(saying("v1beta1", `{"allowed":true}`))
	f.Add(`{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":false,"ALLOWED":true}}`)
	f.Fuzz(func(t *testing.T, answer string) {
		x := newFixture(t, func(o *webhook.Options) { o.FailurePolicy = webhook.Deny })
		x.service.answer = answer
		decision, _, err := x.Authorize(t.Context(), jane, list)
		lower := strings.ToLower(answer)
		if decision == authz.Allow && (err != nil || !strings.Contains(lower, "true") || !json.Valid([]byte(answer))) {
			t.Errorf("allowed by %q: %v", answer, err)
		}
		if err != nil && decision != authz.Deny {
			t.Errorf("%q: %v with %v", answer, decision, err)
		}
	})
}
