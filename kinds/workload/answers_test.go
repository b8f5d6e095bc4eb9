package workload_test

import (
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/kinds/workload"
	"github.com/gatehouse/gatehouse/rules"
)

// What the files in testdata expect was answered by kube-apiserver 1.36.3. A file begins with an object of the kind. Each case after it is
// a change of that object, in YAML, of which a null removes a field, and below a line of three equals signs the answer to it: what is
// wrong, one cause a line, then the warnings. The word before the colon of a case says what is sent: "create" a new object, "update" a
// change of the stored one, "status" a change of its status. "defaults" is a create whose answer is the stored object without
// what all kinds have. A file is named after its kind, up to a hyphen.

type subject struct {
	make func() metav1.Object
	kind func() *rules.Kind
	// counts tells whether the kind has generations.
	counts bool
}

func of[T any, P interface {
	*T
	metav1.Object
}](kind func() *rules.Kind, counts bool) subject {
	return subject{
		make: func() metav1.Object { return P(new(T)) }, kind: kind, counts: counts,
	}
}

func subjects() map[string]subject {
	return map[string]subject{
		"controllerrevision":    of[appsv1.ControllerRevision](workload.ControllerRevision, false),
		"cronjob":               of[batchv1.CronJob](workload.CronJob, true),
		"daemonset":             of[appsv1.DaemonSet](workload.DaemonSet, true),
		"deployment":            of[appsv1.Deployment](workload.Deployment, true),
		"autoscaler":            of[autoscalingv2.HorizontalPodAutoscaler](workload.Autoscaler, false),
		"autoscalerv1":          of[autoscalingv1.HorizontalPodAutoscaler](workload.AutoscalerV1, false),
		"job":                   of[batchv1.Job](workload.Job, true),
		"poddisruptionbudget":   of[policyv1.PodDisruptionBudget](workload.PodDisruptionBudget, true),
		"podtemplate":           of[corev1.PodTemplate](workload.PodTemplate, true),
		"replicaset":            of[appsv1.ReplicaSet](workload.ReplicaSet, true),
		"replicationcontroller": of[corev1.ReplicationController](workload.ReplicationController, true),
		"statefulset":           of[appsv1.StatefulSet](workload.StatefulSet, true),
	}
}

func TestAnswersAreThoseOfTheReference(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(name, "-")
			s, ok := subjects()[kind]
			if !ok {
				t.Fatal("the file is not named after a kind")
			}
			for _, f := range archive.Files {
				t.Run(f.Name, func(t *testing.T) {
					change, want, _ := strings.Cut(string(f.Data), "===\n")
					what, _, _ := strings.Cut(f.Name, ":")
					if what == "defaults" {
						text, err := yaml.Marshal(merged(t, want, ""))
						if err != nil {
							t.Fatal(err)
						}
						want = string(text)
					}
					if diff := cmp.Diff(want, s.answer(t, what, string(archive.Comment), change)); diff != "" {
						t.Errorf("answer (-kube-apiserver +gatehouse):\n%s", diff)
					}
				})
			}
		})
	}
}

// answer does what a create or an update does with a kind's rules.
func (s subject) answer(t *testing.T, what, base, change string) string {
	t.Helper()
	kind := s.kind()
	stored := s.decode(t, merged(t, base, ""))
	if what == "create" || what == "defaults" {
		stored = s.decode(t, merged(t, base, change))
	}
	stored.SetUID("the-uid")
	kind.Default(stored)
	if s.counts {
		stored.SetGeneration(1)
	}
	kind.Create(stored)
	if what == "defaults" {
		return shape(t, stored)
	}
	if what == "create" {
		return said(kind, "", stored, nil)
	}
	text, err := yaml.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	o := s.decode(t, merged(t, string(text), change))
	kind.Default(o)
	subresource := ""
	if what == "status" {
		subresource = "status"
	}
	kind.Update(subresource, o, stored)
	if what == "update" && s.counts && !apiequality.Semantic.DeepEqual(field(o, "Spec"), field(stored, "Spec")) {
		o.SetGeneration(stored.GetGeneration() + 1)
	}
	return said(kind, subresource, o, stored)
}

func field(o any, name string) any {
	f := reflect.ValueOf(o).Elem().FieldByName(name)
	if !f.IsValid() {
		return nil
	}
	return f.Interface()
}

func (s subject) decode(t *testing.T, fields map[string]any) metav1.Object {
	t.Helper()
	text, err := yaml.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	o := s.make()
	if err := yaml.Unmarshal(text, o); err != nil {
		t.Fatal(err)
	}
	return o
}

func merged(t *testing.T, base, change string) map[string]any {
	t.Helper()
	var a, b map[string]any
	if err := yaml.Unmarshal([]byte(base), &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(change), &b); err != nil {
		t.Fatal(err)
	}
	merge(a, b)
	return a
}

func merge(a, b map[string]any) {
	for k, v := range b {
		was, isMap := a[k].(map[string]any)
		now, becomes := v.(map[string]any)
		switch {
		case v == nil:
			delete(a, k)
		case isMap && becomes:
			merge(was, now)
		default:
			a[k] = v
		}
	}
}

func said(kind *rules.Kind, subresource string, o, old metav1.Object) string {
	var before any
	if old != nil {
		before = old
	}
	errs, warnings := kind.Check(subresource, o, before)
	var b strings.Builder
	for _, e := range errs {
		b.WriteString(e.Field + " " + string(e.Type) + ": " + e.ErrorBody() + "\n")
	}
	if len(errs) == 0 {
		for _, w := range warnings {
			b.WriteString("warning: " + w + "\n")
		}
	}
	return b.String()
}

// shape is what of an object the rules of its kind decide.
func shape(t *testing.T, o metav1.Object) string {
	t.Helper()
	text, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	fields := merged(t, string(text), `{metadata: {creationTimestamp: null, generation: null, name: null, uid: null, namespace: null}}`)
	maps.DeleteFunc(fields, func(k string, v any) bool { return k == "status" || k == "apiVersion" || k == "kind" })
	if text, err = yaml.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
