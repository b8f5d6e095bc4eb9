package policies_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/policies"
)

// unrelated is a policy on a kind of its own.
func unrelated(n int) string {
	return fmt.Sprintf(`# METADATA
# custom:
#   type: validate
#   match: {groups: [example.com], kinds: [Kind%[1]d]}
package gatehouse.policy.unrelated_%[1]d

deny contains "no" if input.object.spec.field == %[1]d
`, n)
}

// largePod is a pod of about 5 KB as JSON, of two containers with an environment.
func largePod() map[string]any {
	containers := make([]any, 2)
	for i := range containers {
		env := make([]any, 20)
		for j := range env {
			env[j] = map[string]any{"name": fmt.Sprintf("SETTING_%d", j), "value": strings.Repeat("v", 60)}
		}
		containers[i] = map[string]any{
			"name": fmt.Sprintf("c%d", i), "image": "registry.example.com/app:1.2.3", "env": env,
			"ports":           []any{map[string]any{"containerPort": int64(8080)}},
			"resources":       map[string]any{"limits": map[string]any{"cpu": "1", "memory": "1Gi"}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}},
		}
	}
	pod := nginx()
	pod["metadata"].(map[string]any)["labels"] = map[string]any{"app": "web", "tier": "front"}
	pod["spec"] = map[string]any{"containers": containers, "volumes": []any{map[string]any{"name": "tmp", "emptyDir": map[string]any{}}}}
	return pod
}

// BenchmarkReview shows that the cost of a review does not grow with the policies that are not about it.
func BenchmarkReview(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		sources := []policies.Source{{Name: "match.rego", Text: []byte(`# METADATA
# custom:
#   type: validate
#   match: {groups: [""], kinds: [Pod]}
package gatehouse.policy.match

deny contains "no" if input.object.spec.hostNetwork
`)}}
		for i := range n - 1 {
			sources = append(sources, policies.Source{Name: fmt.Sprintf("u%d.rego", i), Text: []byte(unrelated(i))})
		}
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			e, err := policies.New(policies.Options{NoDefaults: true})
			if err != nil {
				b.Fatal(err)
			}
			if err := e.LoadBundle(policies.Bundle{Sources: sources}); err != nil {
				b.Fatal(err)
			}
			benchmarkValidate(b, e, podReview(largePod()))
		})
	}
}

// BenchmarkPodSecurity is the cost of the pod policies for a pod that is admitted, as requests bring it. One that has no field which baseline is about
// is not put to it, one that has a harmless one is.
func BenchmarkPodSecurity(b *testing.B) {
	for _, level := range []string{"baseline", "restricted"} {
		e := engineWith(b, "policies: [{name: pod-security-"+level+", action: deny}]")
		for name, change := range map[string]func(*corev1.Pod){
			"plain": func(*corev1.Pod) {},
			"seccomp": func(p *corev1.Pod) {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
			},
		} {
			b.Run(level+"/"+name, func(b *testing.B) {
				pod := &corev1.Pod{}
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(largePod(), pod); err != nil {
					b.Fatal(err)
				}
				change(pod)
				r := podReview(nil)
				r.Object = pod
				benchmarkValidate(b, e, r)
			})
		}
	}
}

func benchmarkValidate(b *testing.B, e *policies.Engine, r *policies.Review) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Validate(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMatches is what an object costs that no policy is about.
func BenchmarkMatches(b *testing.B) {
	e := engineWith(b, "policies: [{name: pod-security-baseline, action: deny}]")
	for b.Loop() {
		if _, validating := e.Matches("", "ConfigMap", "CREATE", ""); validating {
			b.Fatal("matches")
		}
	}
}

// BenchmarkCompile is the time from the library's text to a usable set.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := policies.Compile(policies.Bundle{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnchangedPodStatus is what the pod policies add to each write of a status by a kubelet.
func BenchmarkUnchangedPodStatus(b *testing.B) {
	e := engineWith(b, "policies: [{name: pod-security-baseline, action: deny}]")
	r := podReview(largePod())
	r.Operation, r.Subresource, r.OldObject = "UPDATE", "status", largePod()
	for b.Loop() {
		if found, err := e.Validate(context.Background(), r); err != nil || len(found) > 0 {
			b.Fatal(found, err)
		}
	}
}
