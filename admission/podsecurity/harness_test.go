package podsecurity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/podsecurity"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prefix = "pod-security.kubernetes.io/"

// levels makes the labels of a namespace of mode, level, mode, level and so on.
func levels(pairs ...string) map[string]string {
	l := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		l[prefix+pairs[i]] = pairs[i+1]
	}
	return l
}

// world is what the plugin finds: one namespace, and the pods of it.
type world struct {
	labels map[string]string
	pods   []*corev1.Pod
	broken error         // of listing pods
	tick   time.Duration // each look at the clock takes so long
	clock  time.Time
}

func (w *world) Namespace(_ context.Context, name string) (*corev1.Namespace, bool, error) {
	switch name {
	case "unreadable":
		return nil, false, errors.New("etcd is gone")
	case "missing":
		return nil, false, nil
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.labels}}, true, nil
}

func (w *world) Pods(_ context.Context, _ string, limit int) ([]*corev1.Pod, int, error) {
	return w.pods[:min(len(w.pods), limit)], len(w.pods), w.broken
}

func (w *world) now() time.Time {
	w.clock = w.clock.Add(w.tick)
	return w.clock
}

// exempting is a configuration that exempts one of each.
const exempting = `{
	"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
	"exemptions": {"namespaces": ["open"], "usernames": ["carol"], "runtimeClasses": ["vm"]}
}`

func plugin(t *testing.T, w *world, config string) *podsecurity.Plugin {
	t.Helper()
	var data []byte
	if config != "" {
		data = []byte(config)
	}
	c, err := podsecurity.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := podsecurity.New(c, w, w, w.now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// allowAll lets the tests make permits for any user.
type allowAll struct{}

func (allowAll) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "test", nil
}

// attributes is a request by the user for an object of the kind.
func attributes(t *testing.T, user string, info api.RequestInfo) (*admission.Attributes, map[string]string) {
	t.Helper()
	info.IsResource = true
	permit, err := authz.Chain{Allowers: []authz.Authorizer{allowAll{}}}.Permit(t.Context(), api.User{Name: user}, info)
	if err != nil {
		t.Fatal(err)
	}
	notes := map[string]string{}
	a := &admission.Attributes{
		Permit: permit, Operation: admission.Create, Namespace: info.Namespace, Name: info.Name, Subresource: info.Subresource, Warnings: &api.Warnings{},
		Annotate: func(key, value string) { notes[key] = value },
	}
	a.Resource.Group, a.Resource.Version, a.Resource.Resource = info.Group, info.Version, info.Resource
	return a, notes
}

// pod has one container; change, unless nil, changes it.
func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx"}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func privileged(p *corev1.Pod) {
	yes := true
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
}

// message is the text of a refusal with its code; empty for none.
func message(t *testing.T, err error) (int, string) {
	t.Helper()
	if err == nil {
		return 0, ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not an *api.Error: %v", err, err)
	}
	return e.Code(), e.Status.Message
}
