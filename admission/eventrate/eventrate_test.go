package eventrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/eventrate"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type allowAll struct{}

func (allowAll) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "test", nil
}

// event is a create by the user of an event of the source about an object of that name.
func event(t *testing.T, user, namespace, source, object string) *admission.Attributes {
	t.Helper()
	info := api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: "events", Namespace: namespace}
	permit, err := authz.Chain{Allowers: []authz.Authorizer{allowAll{}}}.Permit(t.Context(), api.User{Name: user}, info)
	if err != nil {
		t.Fatal(err)
	}
	e := &corev1.Event{Source: corev1.EventSource{Component: source, Host: "h"}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: object}}
	return &admission.Attributes{
		Permit: permit, Operation: admission.Create, Namespace: namespace, Object: e,
		Resource: corev1.SchemeGroupVersion.WithResource("events"), Kind: corev1.SchemeGroupVersion.WithKind("Event"),
	}
}

// TestLimits plays events one after another; each is a user, namespace, source and object, and how long after the one before it comes.
func TestLimits(t *testing.T) {
	type step struct {
		event string // user namespace source object
		after time.Duration
		full  string // the types of limits that refuse
	}
	for name, test := range map[string]struct {
		limits []eventrate.Limit
		steps  []step
	}{
		"a burst, and then so many a second": {
			[]eventrate.Limit{{Type: eventrate.Server, QPS: 2, Burst: 3}},
			[]step{
				{"a n s o", 0, ""},
				{"b m s o", 0, ""},
				{"c l s o", 0, ""},
				{"a n s o", 0, "Server"},
				{"a n s o", 500 * time.Millisecond, ""},
				{"a n s o", 0, "Server"},
				{"a n s o", time.Hour, ""},
				{"a n s o", 0, ""},
				{"a n s o", 0, ""},
				{"a n s o", 0, "Server"},
			},
		},
		"of each namespace": {
			[]eventrate.Limit{{Type: eventrate.Namespace, QPS: 1, Burst: 1}},
			[]step{{"a n s o", 0, ""}, {"b n s o", 0, "Namespace"}, {"a m s o", 0, ""}},
		},
		"of each user": {
			[]eventrate.Limit{{Type: eventrate.User, QPS: 1, Burst: 1}},
			[]step{{"a n s o", 0, ""}, {"a m t p", 0, "User"}, {"b n s o", 0, ""}},
		},
		"of each source about each object": {
			[]eventrate.Limit{{Type: eventrate.SourceAndObject, QPS: 1, Burst: 1}},
			[]step{{"a n s o", 0, ""}, {"b n s o", 0, "SourceAndObject"}, {"a n t o", 0, ""}, {"a n s p", 0, ""}},
		},
		"who is forgotten begins again": {
			[]eventrate.Limit{{Type: eventrate.User, QPS: 1, Burst: 1, CacheSize: 2}},
			[]step{{"a n s o", 0, ""}, {"b n s o", 0, ""}, {"a n s o", 0, "User"}, {"c n s o", 0, ""}, {"a n s o", 0, "User"}, {"b n s o", 0, ""}},
		},
		"several are all charged": {
			[]eventrate.Limit{{Type: eventrate.User, QPS: 1, Burst: 2}, {Type: eventrate.Namespace, QPS: 1, Burst: 1}},
			[]step{{"a n s o", 0, ""}, {"a n s o", 0, "Namespace"}, {"a m s o", 0, "User"}, {"a n s o", 0, "User Namespace"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			p, err := eventrate.New(test.limits, func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range test.steps {
				now = now.Add(s.after)
				var user, namespace, source, object string
				if _, err := fmt.Sscan(s.event, &user, &namespace, &source, &object); err != nil {
					t.Fatal(err)
				}
				var full []string
				var e *api.Error
				if errors.As(p.Validate(t.Context(), event(t, user, namespace, source, object)), &e) {
					for _, part := range strings.Split(e.Status.Message, "on type ")[1:] {
						full = append(full, strings.Fields(part)[0])
					}
				}
				if diff := cmp.Diff(s.full, strings.Join(full, " ")); diff != "" {
					t.Errorf("step %d %s (-want +got):\n%s", i, s.event, diff)
				}
			}
		})
	}
}

// The texts are kube-apiserver's.
func TestRefusal(t *testing.T) {
	p, err := eventrate.New([]eventrate.Limit{{Type: eventrate.Namespace, QPS: 1, Burst: 1}, {Type: eventrate.SourceAndObject, QPS: 1, Burst: 2}}, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"", "Too many requests: limit reached on type Namespace for key n",
		"Too many requests: [limit reached on type Namespace for key n, limit reached on type SourceAndObject for key shPodo]",
	} {
		err := p.Validate(t.Context(), event(t, "a", "n", "s", "o"))
		var e *api.Error
		switch {
		case want == "" && err == nil:
		case !errors.As(err, &e) || e.Code() != 429 || e.Status.Message != want:
			t.Errorf("%d: got %v, want 429 %s", i, err, want)
		}
	}
}

func TestWhatIsFree(t *testing.T) {
	for name, change := range map[string]func(*admission.Attributes){
		"a dry run":       func(a *admission.Attributes) { a.DryRun = true },
		"a delete":        func(a *admission.Attributes) { a.Operation = admission.Delete },
		"another kind":    func(a *admission.Attributes) { a.Resource.Resource = "pods" },
		"another's event": func(a *admission.Attributes) { a.Resource.Group = "example.com" },
	} {
		t.Run(name, func(t *testing.T) {
			p, err := eventrate.New([]eventrate.Limit{{Type: eventrate.Server, QPS: 1, Burst: 1}}, func() time.Time { return time.Unix(0, 0) })
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				a := event(t, "a", "n", "s", "o")
				change(a)
				if err := p.Validate(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestBothGroupsOfEventsCount guards against a flood by the other name of the same objects.
func TestBothGroupsOfEventsCount(t *testing.T) {
	p, err := eventrate.New([]eventrate.Limit{{Type: eventrate.SourceAndObject, QPS: 1, Burst: 1}}, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	about := corev1.ObjectReference{Kind: "Pod", Name: "o"}
	for i, e := range []*eventsv1.Event{
		{ReportingController: "new", Regarding: about},
		{DeprecatedSource: corev1.EventSource{Component: "s", Host: "h"}, Regarding: about},
		{ReportingController: "new", Regarding: about},
	} {
		a := event(t, "a", "n", "s", "o")
		a.Resource, a.Object = eventsv1.SchemeGroupVersion.WithResource("events"), e
		if err := p.Validate(t.Context(), a); (err != nil) != (i == 2) {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if err := p.Validate(t.Context(), event(t, "a", "n", "s", "o")); err == nil {
		t.Error("an event of the core group has a bucket of its own")
	}
}

const head = "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\n"

func TestParseConfig(t *testing.T) {
	got, err := eventrate.ParseConfig([]byte(head + "limits: [{type: Server, qps: 5, burst: 10}, {type: User, qps: 1, burst: 1, cacheSize: 7}]"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]eventrate.Limit{{Type: "Server", QPS: 5, Burst: 10}, {Type: "User", QPS: 1, Burst: 1, CacheSize: 7}}, got); diff != "" {
		t.Error(diff)
	}
	for name, test := range map[string]struct{ text, want string }{
		"no YAML":            {"{", "yaml"},
		"another kind":       {"apiVersion: v1\nkind: Pod\nlimits: []", "it is v1 Pod"},
		"no limits":          {head, "limits: must not be empty"},
		"an unknown field":   {head + "limits: [{type: Server, qps: 1, burst: 1, cache: 1}]", `unknown field "limits[0].cache"`},
		"an unknown type":    {head + "limits: [{type: server, qps: 1, burst: 1}]", `limits[0].type: "server" is none of Namespace, Server, SourceAndObject, User`},
		"no rate":            {head + "limits: [{type: Server, burst: 1}]", "limits[0].qps: 0: want 1 to 2147483647"},
		"no burst":           {head + "limits: [{type: Server, qps: 1}]", "limits[0].burst: 0: want 1 to 2147483647"},
		"a negative cache":   {head + "limits: [{type: User, qps: 1, burst: 1, cacheSize: -1}]", "limits[0].cacheSize: -1: want 0 to 1048576"},
		"an unbounded cache": {head + "limits: [{type: User, qps: 1, burst: 1, cacheSize: 2000000}]", "limits[0].cacheSize: 2000000: want 0 to 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := eventrate.ParseConfig([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(head + "limits: [{type: Server, qps: 5, burst: 10}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits, err := eventrate.ParseConfig(data)
		if err != nil {
			return
		}
		if _, err := eventrate.New(limits, time.Now); err != nil || len(limits) == 0 {
			t.Errorf("%q is accepted and cannot be used: %v", data, err)
		}
	})
}
