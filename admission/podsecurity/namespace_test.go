package podsecurity_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/podsecurity"
	"github.com/gatehouse/gatehouse/api"
)

func owned(by string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		yes := true
		privileged(p)
		p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(by), Controller: &yes}}
	}
}

const (
	violate  = `existing pods in namespace "ns" violate the new PodSecurity enforce level `
	badLevel = `Namespace "ns" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "x": must be one of privileged, baseline, restricted`
	badWarn  = `Namespace "ns" is invalid: metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"`
)

// TestNamespaces are writes of namespaces that hold a pod of each sort; old is nil for a create.
func TestNamespaces(t *testing.T) {
	pods := []*corev1.Pod{
		pod("c", privileged), pod("b", privileged), pod("fine", nil), pod("h", func(p *corev1.Pod) { p.Spec.HostNetwork = true }), pod("vm", virtual),
	}
	existing := func(level string) []string {
		return []string{violate + `"` + level + `"`, "b (and 1 other pod): privileged", "h: host namespaces"}
	}
	for name, test := range map[string]struct {
		name     string
		old, new map[string]string
		sub      string
		message  string
		warnings []string
	}{
		"a create without labels":                     {},
		"a create with labels":                        {new: levels("enforce", "baseline", "enforce-version", "v1.99")},
		"a create with a level that is none":          {new: levels("enforce", "x"), message: badLevel},
		"a create with a version that is none":        {new: levels("warn-version", "1.30"), message: badWarn},
		"an update to a level that is none":           {old: levels(), new: levels("enforce", "x"), message: badLevel},
		"an update of what was wrong to another":      {old: levels("enforce", "y"), new: levels("enforce", "x"), message: badLevel},
		"an update that leaves what was wrong":        {old: levels("enforce", "x"), new: levels("enforce", "x")},
		"a subresource":                               {old: levels(), new: levels("enforce", "x"), sub: "status"},
		"a stricter level":                            {old: levels(), new: levels("enforce", "baseline"), warnings: existing("baseline:latest")},
		"a laxer level":                               {old: levels("enforce", "restricted"), new: levels("enforce", "baseline")},
		"a laxer level of another version":            {old: levels("enforce", "restricted"), new: levels("enforce", "baseline", "enforce-version", "v1.20"), warnings: existing("baseline:v1.20")},
		"the same level":                              {old: levels("enforce", "baseline"), new: levels("enforce", "baseline", "warn", "restricted")},
		"privileged":                                  {old: levels("enforce", "restricted"), new: levels("enforce", "privileged", "enforce-version", "v1.20")},
		"labels of an exempt one at its creation":     {name: "open", new: levels("enforce", "restricted", "audit-version", "v1.20", "warn", "baseline", "warn-version", "v1.30"), warnings: []string{`namespace "open" is exempt from Pod Security, and the policy (enforce=restricted:latest, warn=baseline:v1.30) will be ignored`}},
		"labels of an exempt one":                     {name: "open", old: levels(), new: levels("enforce", "restricted", "audit", "baseline"), warnings: []string{`namespace "open" is exempt from Pod Security, and the policy (enforce=restricted:latest, audit=baseline:latest) will be ignored`}},
		"an exempt one whose labels ask for nothing":  {name: "open", new: levels("enforce", "privileged", "enforce-version", "v1.20")},
		"an exempt one that warns from now on":        {name: "open", old: levels(), new: levels("warn", "restricted")},
		"a level that is none, of an exempt one, too": {name: "open", new: levels("enforce", "x"), message: strings.Replace(badLevel, "ns", "open", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := "ns"
			if test.name != "" {
				namespace = test.name
			}
			a, _ := attributes(t, "alice", api.RequestInfo{Verb: "update", Version: "v1", Resource: "namespaces", Namespace: namespace, Name: namespace, Subresource: test.sub})
			a.Kind = corev1.SchemeGroupVersion.WithKind("Namespace")
			a.Object = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: test.new}}
			if test.old != nil {
				a.Operation, a.OldObject = admission.Update, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: test.old}}
			}
			code, text := message(t, plugin(t, &world{pods: pods}, exempting).Validate(t.Context(), a))
			if text != test.message || (code != 0 && code != 422) {
				t.Errorf("got %d %s\nwant 422 %s", code, text, test.message)
			}
			if diff := cmp.Diff(test.warnings, a.Warnings.List()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExistingPodsAreCheckedWithinBounds guards against a change of labels that takes as long as the namespace has pods.
func TestExistingPodsAreCheckedWithinBounds(t *testing.T) {
	many := make([]*corev1.Pod, 12001)
	for i := range many {
		many[i] = pod(fmt.Sprintf("p%05d", i), privileged)
	}
	for name, test := range map[string]struct {
		world world
		want  []string
	}{
		"no more than 3,000": {
			world{pods: many[:3001]},
			[]string{"new PodSecurity enforce level only checked against the first 3000 of 3001 existing pods", violate + `"baseline:latest"`, "p00000 (and 2999 other pods): privileged"},
		},
		"and not all of them are read": {
			world{pods: many},
			[]string{"new PodSecurity enforce level only checked against the first 3000 of 12001 existing pods", violate + `"baseline:latest"`, "p00000 (and 2999 other pods): privileged"},
		},
		"for no longer than a second": {
			world{pods: many[:3001], tick: 400 * time.Millisecond},
			[]string{"new PodSecurity enforce level only checked against the first 3 of 3001 existing pods", violate + `"baseline:latest"`, "p00000 (and 2 other pods): privileged"},
		},
		"one of each controller first": {
			world{pods: []*corev1.Pod{pod("a1", owned("a")), pod("a2", owned("a")), pod("b1", owned("b")), pod("c", privileged), pod("d", nil)}, tick: 400 * time.Millisecond},
			[]string{"new PodSecurity enforce level only checked against the first 3 of 5 existing pods", violate + `"baseline:latest"`, "a1 (and 2 other pods): privileged"},
		},
		"pods that cannot be listed": {world{broken: errors.New("gone")}, []string{"failed to list pods while checking new PodSecurity enforce level"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := attributes(t, "alice", api.RequestInfo{Verb: "update", Version: "v1", Resource: "namespaces", Namespace: "ns", Name: "ns"})
			a.Operation = admission.Update
			a.Object = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Labels: levels("enforce", "baseline")}}
			a.OldObject = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}
			if err := plugin(t, &test.world, "").Validate(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, a.Warnings.List()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseConfigRefuses(t *testing.T) {
	const head = `{"apiVersion":"pod-security.admission.config.k8s.io/v1","kind":"PodSecurityConfiguration",`
	for name, test := range map[string]struct{ config, want string }{
		"another kind":                  {`{"apiVersion":"v1","kind":"Pod"}`, "no kind"},
		"an unknown field":              {head + `"default":{}}`, `unknown field "default"`},
		"a level that is none":          {head + `"defaults":{"enforce":"basline"}}`, "must be one of privileged, baseline, restricted"},
		"a version that is none":        {head + `"defaults":{"warn-version":"1.30"}}`, `must be "latest" or "v1.x"`},
		"a namespace that cannot exist": {head + `"exemptions":{"namespaces":["Not/One"]}}`, "exemptions.namespaces[0]"},
		"a namespace twice":             {head + `"exemptions":{"namespaces":["a","a"]}}`, "Duplicate value"},
		"no JSON":                       {"{", "json parse error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := podsecurity.ParseConfig([]byte(test.config))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(exempting))
	f.Add([]byte(`{"apiVersion":"pod-security.admission.config.k8s.io/v1beta1","kind":"PodSecurityConfiguration","defaults":{"enforce":"baseline"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := podsecurity.ParseConfig(data)
		if err != nil {
			return
		}
		if !c.Defaults.Enforce.Level.Valid() || !c.Defaults.Warn.Level.Valid() || !c.Defaults.Audit.Level.Valid() {
			t.Errorf("%q gives levels that are none: %v", data, c.Defaults)
		}
	})
}
