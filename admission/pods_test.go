package admission_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
)

func ptr[T any](v T) *T { return &v }

// priorities are the classes by name.
type priorities map[string]*schedulingv1.PriorityClass

func (p priorities) PriorityClass(_ context.Context, name string) (*schedulingv1.PriorityClass, bool, error) {
	c, ok := p[name]
	return c, ok, nil
}

func (p priorities) PriorityClasses(context.Context) (list []*schedulingv1.PriorityClass, err error) {
	if p["broken"] != nil {
		return nil, errors.New("undecodable")
	}
	for _, c := range p {
		list = append(list, c)
	}
	return list, nil
}

func class(name string, value int32, byDefault bool) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: byDefault, PreemptionPolicy: ptr(corev1.PreemptNever),
	}
}

func TestPriority(t *testing.T) {
	some := priorities{"high": class("high", 100, false)}
	withDefault := priorities{"high": some["high"], "low": class("low", 1, true), "middle": class("middle", 50, true)}
	const forbidden = `pods "web" is forbidden: `
	for name, test := range map[string]struct {
		classes priorities
		change  func(*corev1.PodSpec)
		class   string
		value   int32
		policy  corev1.PreemptionPolicy
		message string // of a refusal
	}{
		"without classes":            {some, func(*corev1.PodSpec) {}, "", 0, corev1.PreemptLowerPriority, ""},
		"the lowest of two defaults": {withDefault, func(*corev1.PodSpec) {}, "low", 1, corev1.PreemptNever, ""},
		"by name":                    {withDefault, func(s *corev1.PodSpec) { s.PriorityClassName = "high" }, "high", 100, corev1.PreemptNever, ""},
		"the number is right": {some, func(s *corev1.PodSpec) {
			s.PriorityClassName, s.Priority = "high", ptr(int32(100))
		}, "high", 100, corev1.PreemptNever, ""},
		"no such class":       {some, func(s *corev1.PodSpec) { s.PriorityClassName = "x" }, "", 0, "", forbidden + "no PriorityClass with name x was found"},
		"a number of its own": {some, func(s *corev1.PodSpec) { s.Priority = ptr(int32(7)) }, "", 0, "", forbidden + "the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name"},
		"a policy of its own": {some, func(s *corev1.PodSpec) { s.PreemptionPolicy = ptr(corev1.PreemptNever) }, "", 0, "", forbidden + "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name"},
		"an unreadable class": {priorities{"broken": some["high"]}, func(*corev1.PodSpec) {}, "", 0, "", "Internal error occurred: the server could not complete the request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, "default")
			spec := &a.Object.(*corev1.Pod).Spec
			test.change(spec)
			_, message := refusal(t, admission.Priority{Classes: test.classes}.Mutate(t.Context(), a))
			if message != test.message {
				t.Fatalf("got  %s\nwant %s", message, test.message)
			}
			if message == "" && (spec.PriorityClassName != test.class || *spec.Priority != test.value || *spec.PreemptionPolicy != test.policy) {
				t.Errorf("%s %d %s", spec.PriorityClassName, *spec.Priority, *spec.PreemptionPolicy)
			}
		})
	}
}

// TestPriorityIsKept guards against an update that fails because the client does not know what was filled in.
func TestPriorityIsKept(t *testing.T) {
	a := podAttributes(t, "default")
	old := a.Object.DeepCopyObject().(*corev1.Pod)
	old.Spec.Priority, old.Spec.PreemptionPolicy = ptr(int32(5)), ptr(corev1.PreemptNever)
	a.Operation, a.OldObject = admission.Update, old
	if err := (admission.Priority{Classes: priorities{}}).Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if spec := a.Object.(*corev1.Pod).Spec; *spec.Priority != 5 || *spec.PreemptionPolicy != corev1.PreemptNever {
		t.Errorf("%d %s", *spec.Priority, *spec.PreemptionPolicy)
	}
}

func TestOneDefaultPriority(t *testing.T) {
	const twice = `priorityclasses.scheduling.k8s.io "new" is forbidden: PriorityClass low is already marked as default. Only one default can exist`
	p := admission.Priority{Classes: priorities{"low": class("low", 1, true)}}
	for name, test := range map[string]struct {
		op      admission.Operation
		object  *schedulingv1.PriorityClass
		message string
	}{
		"a second default":       {admission.Create, class("new", 1, true), twice},
		"one becomes it":         {admission.Update, class("new", 1, true), twice},
		"the default itself":     {admission.Update, class("low", 1, true), ""},
		"one that is no default": {admission.Create, class("new", 1, false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, "")
			a.Resource, a.Operation, a.Object, a.Name = schedulingv1.SchemeGroupVersion.WithResource("priorityclasses"), test.op, test.object, test.object.Name
			if _, message := refusal(t, p.Validate(t.Context(), a)); message != test.message {
				t.Errorf("got  %s\nwant %s", message, test.message)
			}
		})
	}
}

func TestDefaultTolerations(t *testing.T) {
	const ready, reach = "node.kubernetes.io/not-ready NoExecute 300", "node.kubernetes.io/unreachable NoExecute 200"
	for name, test := range map[string]struct {
		has  []corev1.Toleration
		want []string // what is added
	}{
		"none":                         {nil, []string{ready, reach}},
		"everything":                   {[]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, nil},
		"one of them":                  {[]corev1.Toleration{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}}, []string{reach}},
		"with every effect":            {[]corev1.Toleration{{Key: corev1.TaintNodeNotReady}}, []string{reach}},
		"scheduling is something else": {[]corev1.Toleration{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}, []string{ready, reach}},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, "default")
			pod := a.Object.(*corev1.Pod)
			pod.Spec.Tolerations = test.has
			if err := (admission.DefaultTolerationSeconds{NotReady: 300, Unreachable: 200}).Mutate(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			var added []string
			for _, x := range pod.Spec.Tolerations[len(test.has):] {
				added = append(added, strings.Join([]string{x.Key, string(x.Effect), time.Duration(*x.TolerationSeconds).String()[:3]}, " "))
			}
			if diff := cmp.Diff(test.want, added); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// runtimes are the classes by name.
type runtimes map[string]*nodev1.RuntimeClass

func (r runtimes) RuntimeClass(_ context.Context, name string) (*nodev1.RuntimeClass, bool, error) {
	c, ok := r[name]
	return c, ok, nil
}

func TestRuntimeClass(t *testing.T) {
	cpu := func(n string) corev1.ResourceList { return corev1.ResourceList{"cpu": resource.MustParse(n)} }
	wide := corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists}
	r := admission.RuntimeClass{Classes: runtimes{"vm": {
		Overhead:   &nodev1.Overhead{PodFixed: cpu("1")},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"vm": "yes"}, Tolerations: []corev1.Toleration{wide}},
	}}}
	const forbidden = `pods "web" is forbidden: `
	for name, test := range map[string]struct {
		spec    corev1.PodSpec
		want    corev1.PodSpec
		message string
	}{
		"no class": {},
		"completed": {
			corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpEqual, Value: "v"}, {Key: "other"}}},
			corev1.PodSpec{Overhead: cpu("1"), NodeSelector: map[string]string{"vm": "yes"}, Tolerations: []corev1.Toleration{{Key: "other"}, wide}},
			"",
		},
		"the same overhead": {corev1.PodSpec{Overhead: cpu("1000m")}, corev1.PodSpec{
			Overhead: cpu("1"), NodeSelector: map[string]string{"vm": "yes"}, Tolerations: []corev1.Toleration{wide},
		}, ""},
		"another overhead": {corev1.PodSpec{Overhead: cpu("2")}, corev1.PodSpec{}, forbidden + "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"},
		"somewhere else":   {corev1.PodSpec{NodeSelector: map[string]string{"vm": "no"}}, corev1.PodSpec{}, forbidden + "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"},
		"no such class":    {corev1.PodSpec{RuntimeClassName: ptr("x")}, corev1.PodSpec{}, forbidden + `pod rejected: RuntimeClass "x" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, "default")
			if name != "no class" && test.spec.RuntimeClassName == nil {
				test.spec.RuntimeClassName, test.want.RuntimeClassName = ptr("vm"), ptr("vm")
			}
			pod := a.Object.(*corev1.Pod)
			pod.Spec = test.spec
			err := r.Mutate(t.Context(), a)
			if err == nil {
				err = r.Validate(t.Context(), a)
			}
			if _, message := refusal(t, err); message != test.message {
				t.Errorf("got  %s\nwant %s", message, test.message)
			} else if diff := cmp.Diff(test.want, pod.Spec); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
	a := podAttributes(t, "default")
	a.Object.(*corev1.Pod).Spec.Overhead = cpu("1")
	if code, _ := refusal(t, r.Validate(t.Context(), a)); code != 403 {
		t.Errorf("an overhead without a class: %d", code)
	}
}

// accounts are service accounts by name, from the n-th look on.
type accounts struct {
	byName map[string]*corev1.ServiceAccount
	from   int
	looks  int
}

func (s *accounts) ServiceAccount(_ context.Context, _, name string) (*corev1.ServiceAccount, bool, error) {
	s.looks++
	sa, ok := s.byName[name]
	return sa, ok && s.looks > s.from, nil
}

func TestServiceAccountCompletesPods(t *testing.T) {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}}
	a := podAttributes(t, "default")
	pod := a.Object.(*corev1.Pod)
	pod.Spec.InitContainers = []corev1.Container{{Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "mine", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}}}
	s := admission.ServiceAccount{Accounts: &accounts{byName: map[string]*corev1.ServiceAccount{"default": sa}}}
	if err := s.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != "default" || pod.Spec.DeprecatedServiceAccount != "default" || len(pod.Spec.ImagePullSecrets) != 1 {
		t.Errorf("%+v", pod.Spec)
	}
	if len(pod.Spec.Volumes) != 1 || !strings.HasPrefix(pod.Spec.Volumes[0].Name, "kube-api-access-") || len(pod.Spec.InitContainers[0].VolumeMounts) != 1 {
		t.Fatalf("volumes: %+v", pod.Spec.Volumes)
	}
	want := []corev1.VolumeMount{{Name: pod.Spec.Volumes[0].Name, ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
	if diff := cmp.Diff(want, pod.Spec.Containers[0].VolumeMounts); diff != "" {
		t.Error(diff)
	}
	if n := len(pod.Spec.Volumes[0].Projected.Sources); n != 3 {
		t.Errorf("%d sources", n)
	}
}

func TestServiceAccountIsWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		account string
		from    int // looks that find nothing
		looks   int
		message string
	}{
		"default, made meanwhile": {"default", 3, 4, ""},
		"default, never made":     {"default", 99, 10, `pods "web" is forbidden: error looking up service account default/default: serviceaccount "default" not found`},
		"another":                 {"other", 99, 1, `pods "web" is forbidden: error looking up service account default/other: serviceaccount "other" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				list := &accounts{byName: map[string]*corev1.ServiceAccount{test.account: {}}, from: test.from}
				a := podAttributes(t, "default")
				a.Object.(*corev1.Pod).Spec.ServiceAccountName = test.account
				_, message := refusal(t, admission.ServiceAccount{Accounts: list}.Validate(t.Context(), a))
				if message != test.message || list.looks != test.looks {
					t.Errorf("%d looks, %s", list.looks, message)
				}
			})
		})
	}
}

func TestServiceAccountRefusals(t *testing.T) {
	strict := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: "strict", Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"},
	}, Secrets: []corev1.ObjectReference{{Name: "listed"}}}
	s := admission.ServiceAccount{Accounts: &accounts{byName: map[string]*corev1.ServiceAccount{"strict": strict}}}
	secret := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}}
		}
	}
	mirror := func(change func(*corev1.Pod)) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Annotations, p.Spec.ServiceAccountName = map[string]string{corev1.MirrorPodAnnotationKey: "x"}, ""
			change(p)
		}
	}
	for name, test := range map[string]struct {
		change  func(*corev1.Pod)
		message string
	}{
		"a listed secret": {secret("listed"), ""},
		"another secret":  {secret("x"), `volume with secret.secretName="x" is not allowed because service account strict does not reference that secret`},
		"from the environment": {func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}}}
		}, `container app with envFrom referencing secret.secretName="x" is not allowed because service account strict does not reference that secret`},
		"to pull with":         {func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}} }, `imagePullSecrets[0].name="x" is not allowed because service account strict does not reference that imagePullSecret`},
		"mirror":               {mirror(func(*corev1.Pod) {}), ""},
		"mirror with account":  {mirror(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "strict" }), "a mirror pod may not reference service accounts"},
		"mirror with a secret": {mirror(secret("listed")), "a mirror pod may not reference secrets"},
		"mirror with its token": {mirror(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}},
			}}}}
		}), "a mirror pod may not use ServiceAccountToken volume projections"},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, "default")
			a.Object.(*corev1.Pod).Spec.ServiceAccountName = "strict"
			test.change(a.Object.(*corev1.Pod))
			want := ""
			if test.message != "" {
				want = `pods "web" is forbidden: ` + test.message
			}
			if _, message := refusal(t, s.Mutate(t.Context(), a)); message != want {
				t.Errorf("got  %s\nwant %s", message, want)
			}
		})
	}
}
