package admission_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// step notes that it was asked, and refuses if it has an error.
type step struct {
	name string
	log  *[]string
	err  error
}

func (s step) Mutate(context.Context, *admission.Attributes) error   { return s.run() }
func (s step) Validate(context.Context, *admission.Attributes) error { return s.run() }
func (s step) run() error {
	*s.log = append(*s.log, s.name)
	return s.err
}

func TestChainStopsAtTheFirstRefusal(t *testing.T) {
	var log []string
	no := api.BadRequest("no")
	c := admission.Chain{
		Mutators:   []admission.Mutator{step{"m1", &log, nil}, step{"m2", &log, no}, step{"m3", &log, nil}},
		Validators: []admission.Validator{step{"v1", &log, nil}, step{"v2", &log, no}, step{"v3", &log, nil}},
	}
	a := podAttributes(t, "default")
	if err := c.Mutate(t.Context(), a); !errors.Is(err, error(no)) {
		t.Errorf("mutate: %v", err)
	}
	if err := c.Validate(t.Context(), a); !errors.Is(err, error(no)) {
		t.Errorf("validate: %v", err)
	}
	if diff := cmp.Diff([]string{"m1", "m2", "v1", "v2"}, log); diff != "" {
		t.Error(diff)
	}
}

func TestChainRefusesWithoutAPermit(t *testing.T) {
	var c admission.Chain
	a := podAttributes(t, "default")
	if err := errors.Join(c.Mutate(t.Context(), a), c.Validate(t.Context(), a)); err != nil {
		t.Errorf("an empty chain refuses: %v", err)
	}
	a.Permit = authz.Permit{}
	if err := c.Mutate(t.Context(), a); !errors.Is(err, admission.ErrNoPermit) {
		t.Errorf("mutate: %v", err)
	}
	if err := c.Validate(t.Context(), a); !errors.Is(err, admission.ErrNoPermit) {
		t.Errorf("validate: %v", err)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	l := admission.NamespaceLifecycle{Namespaces: cluster()}
	const terminating = ` is forbidden: unable to create new content in namespace ending because it is being terminated`
	namespace := func(op admission.Operation, name string) func(*admission.Attributes) {
		return func(a *admission.Attributes) {
			a.Operation, a.Namespace, a.Name = op, name, name
			a.Kind, a.Resource = corev1.SchemeGroupVersion.WithKind("Namespace"), corev1.SchemeGroupVersion.WithResource("namespaces")
			a.Object, a.OldObject = nil, &corev1.Namespace{}
		}
	}
	for name, test := range map[string]struct {
		namespace string
		change    func(*admission.Attributes)
		code      int
		message   string
	}{
		"create in a namespace":             {"default", nil, 0, ""},
		"create in a missing namespace":     {"nosuch", nil, 404, `namespaces "nosuch" not found`},
		"create in a terminating namespace": {"ending", nil, 403, `pods "web"` + terminating},
		"create by generated name": {"ending", func(a *admission.Attributes) {
			a.Name = ""
			p := a.Object.(*corev1.Pod)
			p.Name, p.GenerateName = "", "web-"
		}, 403, `pods "web-"` + terminating},
		"create where deletion has begun":   {"deleted", nil, 403, `pods "web" is forbidden: unable to create new content in namespace deleted because it is being terminated`},
		"update in a terminating namespace": {"ending", func(a *admission.Attributes) { a.Operation = admission.Update }, 0, ""},
		"update in a missing namespace":     {"nosuch", func(a *admission.Attributes) { a.Operation = admission.Update }, 404, `namespaces "nosuch" not found`},
		"delete in a missing namespace":     {"nosuch", func(a *admission.Attributes) { a.Operation = admission.Delete }, 0, ""},
		"an unreadable store refuses":       {"unreadable", nil, 500, "Internal error occurred: the server could not complete the request"},
		"a cluster-scoped object":           {"", nil, 0, ""},
		"an access review tells nothing": {"nosuch", func(a *admission.Attributes) {
			a.Resource.Group, a.Resource.Resource = "authorization.k8s.io", "localsubjectaccessreviews"
		}, 0, ""},
		"delete of default":                     {"", namespace(admission.Delete, "default"), 403, `namespaces "default" is forbidden: this namespace may not be deleted`},
		"delete of kube-system":                 {"", namespace(admission.Delete, "kube-system"), 403, `namespaces "kube-system" is forbidden: this namespace may not be deleted`},
		"delete of kube-public":                 {"", namespace(admission.Delete, "kube-public"), 403, `namespaces "kube-public" is forbidden: this namespace may not be deleted`},
		"delete of kube-node-lease":             {"", namespace(admission.Delete, "kube-node-lease"), 403, `namespaces "kube-node-lease" is forbidden: this namespace may not be deleted`},
		"delete of another namespace":           {"", namespace(admission.Delete, "prod"), 0, ""},
		"update of a namespace that is ending":  {"", namespace(admission.Update, "ending"), 0, ""},
		"create of a namespace that is missing": {"", namespace(admission.Create, "nosuch"), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, test.namespace)
			if test.change != nil {
				test.change(a)
			}
			err := l.Validate(t.Context(), a)
			if code, message := refusal(t, err); code != test.code || message != test.message {
				t.Errorf("got %d %s\nwant %d %s", code, message, test.code, test.message)
			}
		})
	}
}

// TestCachedNamespaceAdmits: the cache can admit, and then the write depends on what it had; it cannot refuse.
func TestCachedNamespaceAdmits(t *testing.T) {
	stored, now := cluster(), metav1.Now()
	stored["changed"] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "changed", ResourceVersion: "9"}}
	cached := namespaces{
		"changed": {ObjectMeta: metav1.ObjectMeta{Name: "changed", ResourceVersion: "7"}},
		"gone":    {ObjectMeta: metav1.ObjectMeta{Name: "gone", ResourceVersion: "8"}},
		"default": {ObjectMeta: metav1.ObjectMeta{Name: "default", DeletionTimestamp: &now}},
	}
	for name, test := range map[string]struct {
		namespace string
		operation admission.Operation
		code      int
		seen      string // the version that a create depends on
	}{
		"as it was in the cache":              {"changed", admission.Create, 0, "7"},
		"gone since":                          {"gone", admission.Create, 0, "8"},
		"not in the cache yet":                {"prod", admission.Create, 0, ""},
		"made again":                          {"default", admission.Create, 0, ""},
		"ending, and not in the cache":        {"ending", admission.Create, 403, "none"},
		"neither here nor there":              {"nosuch", admission.Create, 404, "none"},
		"unreadable":                          {"unreadable", admission.Create, 500, "none"},
		"an update depends on nothing":        {"changed", admission.Update, 0, "none"},
		"an update in what seems to be going": {"default", admission.Update, 0, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			l := admission.NamespaceLifecycle{Namespaces: stored, Cached: cached}
			a := podAttributes(t, test.namespace)
			a.Operation = test.operation
			err := l.Mutate(t.Context(), a)
			if err == nil {
				err = l.Validate(t.Context(), a)
			}
			if code, message := refusal(t, err); code != test.code {
				t.Errorf("got %d %s, want %d", code, message, test.code)
			}
			seen := "none"
			if ns := a.SeenNamespace(); ns != nil {
				seen = ns.ResourceVersion
			}
			if seen != test.seen {
				t.Errorf("the create depends on version %q, want %q", seen, test.seen)
			}
		})
	}
}

func TestTerminatingNamespaceIsACause(t *testing.T) {
	err := admission.NamespaceLifecycle{Namespaces: cluster()}.Validate(t.Context(), podAttributes(t, "ending"))
	var e *api.Error
	if !errors.As(err, &e) || len(e.Status.Details.Causes) != 1 {
		t.Fatalf("got %v", err)
	}
	c := e.Status.Details.Causes[0]
	if c.Type != corev1.NamespaceTerminatingCause || c.Field != "metadata.namespace" || c.Message != "namespace ending is being terminated" {
		t.Errorf("got %+v", c)
	}
}
