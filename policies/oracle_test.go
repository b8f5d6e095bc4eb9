package policies_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	psaapi "k8s.io/pod-security-admission/api"
	psa "k8s.io/pod-security-admission/policy"

	"github.com/gatehouse/gatehouse/policies"
)

// A mutation sets one leaf of a pod, and makes what is above it; or takes a part away.
type mutation struct {
	path string
	set  func(*corev1.Pod)
}

// mutations walks the type of a pod and returns every leaf with every value worth trying there.
func mutations() []mutation {
	var all []mutation
	add := func(path string, set func(pod reflect.Value)) {
		all = append(all, mutation{path, func(p *corev1.Pod) { set(reflect.ValueOf(p).Elem()) }})
	}
	id := func(v reflect.Value) reflect.Value { return v }
	spec, _ := reflect.TypeFor[corev1.Pod]().FieldByName("Spec")
	walk(spec.Type, "spec", 0, func(pod reflect.Value) reflect.Value { return id(pod).FieldByIndex(spec.Index) }, add)
	for _, value := range []string{"", "unconfined", "runtime/default", "localhost/p", "localhost"} {
		for _, key := range []string{"container.apparmor.security.beta.kubernetes.io/b", "container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/pod"} {
			all = append(all, mutation{"annotation " + key + "=" + value, func(p *corev1.Pod) {
				metav1.SetMetaDataAnnotation(&p.ObjectMeta, key, value)
			}})
		}
	}
	return all
}

func walk(t reflect.Type, path string, depth int, at func(reflect.Value) reflect.Value, add func(string, func(reflect.Value))) {
	if depth > 12 || strings.HasSuffix(path, ".affinity") || strings.HasSuffix(path, ".volumeClaimTemplate") {
		return // no check looks there, and they are large
	}
	switch t.Kind() {
	case reflect.Pointer:
		add(path+" = non-nil", func(pod reflect.Value) { allocate(at(pod)) })
		add(path+" = nil", func(pod reflect.Value) { at(pod).SetZero() })
		walk(t.Elem(), path, depth+1, func(pod reflect.Value) reflect.Value { return allocate(at(pod)) }, add)
	case reflect.Slice:
		add(path+" = nil", func(pod reflect.Value) { at(pod).SetZero() })
		walk(t.Elem(), path+"[0]", depth+1, func(pod reflect.Value) reflect.Value {
			s := at(pod)
			if s.Len() == 0 {
				s.Set(reflect.MakeSlice(t, 1, 1))
			}
			return s.Index(0)
		}, add)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() {
				walk(f.Type, strings.TrimSuffix(path+"."+name, "."), depth+1, func(pod reflect.Value) reflect.Value { return at(pod).Field(i) }, add)
			}
		}
	default:
		for _, v := range values(t, path) {
			add(fmt.Sprintf("%s = %v", path, v), func(pod reflect.Value) { at(pod).Set(reflect.ValueOf(v).Convert(t)) })
		}
	}
}

func allocate(p reflect.Value) reflect.Value {
	if p.IsNil() {
		p.Set(reflect.New(p.Type().Elem()))
	}
	return p.Elem()
}

func values(t reflect.Type, path string) []any {
	switch t.Kind() {
	case reflect.Bool:
		return []any{true, false}
	case reflect.Int, reflect.Int32, reflect.Int64:
		if t == reflect.TypeFor[intstr.Type]() {
			return []any{0, 1}
		}
		if !strings.Contains(path, "ecurityContext") {
			return []any{1}
		}
		return []any{0, 1, 65535}
	case reflect.String:
		if !strings.Contains(path, "ecurityContext") && !strings.HasPrefix(path, "spec.os") {
			return []any{"x"}
		}
		if strings.Contains(path, "gmsa") || strings.Contains(path, "UserName") {
			return []any{"x"}
		}
		return []any{
			"", "Unconfined", "RuntimeDefault", "Localhost", "Default", "Unmasked", "windows", "linux", "ALL", "all",
			"NET_RAW", "CHOWN", "NET_BIND_SERVICE", "spc_t", "container_t", "container_engine_t", "kernel.msgmax", "net.ipv4.tcp_rmem",
		}
	}
	return nil
}

// looked matches the paths that some check looks at; they are also tried together.
var looked = regexp.MustCompile(`ecurityContext|host|spec\.os|volumes|annotation`)

// plain is what a beginner writes; strict conforms to the restricted level. Both have all three lists of containers.
func plain() *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers:      []corev1.Container{{Name: "a"}},
		Containers:          []corev1.Container{{Name: "b"}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "c"}}},
	}}
}

func strict() *corev1.Pod {
	yes, no := true, false
	p := plain()
	p.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	container := func() *corev1.SecurityContext {
		return &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	}
	p.Spec.InitContainers[0].SecurityContext = container()
	p.Spec.Containers[0].SecurityContext = container()
	p.Spec.EphemeralContainers[0].SecurityContext = container()
	return p
}

// oracle compares the two policies with the checks of Kubernetes.
type oracle struct {
	evaluator interface {
		EvaluatePod(psaapi.LevelVersion, *metav1.ObjectMeta, *corev1.PodSpec) []psa.CheckResult
	}
	engines map[psaapi.Level]*policies.Engine
	// denied and allowed count verdicts, so that a comparison that compares nothing is noticed.
	denied, allowed map[psaapi.Level]int
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	ev, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &oracle{
		evaluator: ev,
		engines: map[psaapi.Level]*policies.Engine{
			psaapi.LevelBaseline:   engineWith(t, "policies: [{name: pod-security-baseline, action: deny}]"),
			psaapi.LevelRestricted: engineWith(t, "policies: [{name: pod-security-restricted, action: deny}]"),
		},
		denied: map[psaapi.Level]int{}, allowed: map[psaapi.Level]int{},
	}
}

func (o *oracle) compare(t *testing.T, name string, pod *corev1.Pod) {
	t.Helper()
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		t.Fatal(err)
	}
	for level, e := range o.engines {
		want := psa.AggregateCheckResults(o.evaluator.EvaluatePod(
			psaapi.LevelVersion{Level: level, Version: psaapi.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
		found, err := e.Validate(context.Background(), podReview(m))
		if err != nil {
			t.Fatal(err)
		}
		if allowed := len(found) == 0; allowed != want.Allowed {
			t.Errorf("%s at %s: we allow: %v %v, Kubernetes allows: %v (%s)", name, level, allowed, found, want.Allowed, want.ForbiddenDetail())
		}
		if want.Allowed {
			o.allowed[level]++
		} else {
			o.denied[level]++
		}
	}
}

// TestPodSecurityAgreesWithKubernetes guards against any difference in verdict from the Pod Security checks of Kubernetes: every field
// of a pod is set to every value worth trying, alone and together with others.
func TestPodSecurityAgreesWithKubernetes(t *testing.T) {
	o := newOracle(t)
	all := mutations()
	if len(all) < 1000 {
		t.Fatalf("only %d mutations: the walk is broken", len(all))
	}
	o.compare(t, "plain", plain())
	o.compare(t, "strict", strict())
	var relevant []mutation
	for _, m := range all {
		pod := strict()
		m.set(pod)
		o.compare(t, "strict with "+m.path, pod)
		if looked.MatchString(m.path) {
			relevant = append(relevant, m)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		pod, name := strict(), "strict with"
		if i%2 == 0 {
			pod, name = plain(), "plain with"
		}
		for range 1 + random.IntN(4) {
			m := relevant[random.IntN(len(relevant))]
			m.set(pod)
			name += " " + m.path
		}
		o.compare(t, name, pod)
	}
	for level := range o.engines {
		if o.denied[level] < 50 || o.allowed[level] < 50 {
			t.Errorf("%s: %d denied and %d allowed: the corpus is one-sided", level, o.denied[level], o.allowed[level])
		}
	}
	t.Logf("%d mutations; denied %v, allowed %v", len(all), o.denied, o.allowed)
}
