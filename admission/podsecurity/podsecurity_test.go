package podsecurity_test

import (
	"cmp"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

const (
	badPrivileged = `privileged (container "app" must not set securityContext.privileged=true)`
	badRestricted = `allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false), ` +
		`unrestricted capabilities (container "app" must set securityContext.capabilities.drop=["ALL"]), ` +
		`runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true), ` +
		`seccompProfile (pod or container "app" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`
	would  = `would violate PodSecurity `
	denied = `pods "web" is forbidden: violates PodSecurity `
)

func virtual(p *corev1.Pod) {
	class := "vm"
	privileged(p)
	p.Spec.RuntimeClassName = &class
}

// TestPods are creates of pods; texts and notes of the audit record are kube-apiserver's.
func TestPods(t *testing.T) {
	type notes = map[string]string
	for name, test := range map[string]struct {
		labels    map[string]string
		change    func(*corev1.Pod)
		namespace string
		user      string
		config    string
		code      int
		message   string
		warnings  []string
		notes     notes
	}{
		"what no label asks for is admitted": {change: privileged, notes: notes{"enforce-policy": "privileged:latest"}},
		"what is enforced is refused": {
			labels: levels("enforce", "baseline"), change: privileged, code: 403, message: denied + `"baseline:latest": ` + badPrivileged,
			notes: notes{"enforce-policy": "baseline:latest"},
		},
		"what holds to it is admitted": {labels: levels("enforce", "baseline"), notes: notes{"enforce-policy": "baseline:latest"}},
		"a warning does not refuse": {
			labels: levels("warn", "baseline"), change: privileged, warnings: []string{would + `"baseline:latest": ` + badPrivileged},
			notes: notes{"enforce-policy": "privileged:latest"},
		},
		"a note for the record is no warning": {
			labels: levels("audit", "baseline"), change: privileged,
			notes: notes{"enforce-policy": "privileged:latest", "audit-violations": would + `"baseline:latest": ` + badPrivileged},
		},
		"three levels at once": {
			labels: levels("enforce", "baseline", "warn", "restricted", "audit", "restricted"), warnings: []string{would + `"restricted:latest": ` + badRestricted},
			notes: notes{"enforce-policy": "baseline:latest", "audit-violations": would + `"restricted:latest": ` + badRestricted},
		},
		"a refusal is not warned of as well": {
			labels: levels("enforce", "baseline", "warn", "baseline", "audit", "baseline"), change: privileged, code: 403,
			message: denied + `"baseline:latest": ` + badPrivileged,
			notes:   notes{"enforce-policy": "baseline:latest", "audit-violations": would + `"baseline:latest": ` + badPrivileged},
		},
		"an old version asks for less": {
			labels: levels("enforce", "restricted", "enforce-version", "v1.0"), change: func(p *corev1.Pod) {
				yes, no := true, false
				p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no}
			}, notes: notes{"enforce-policy": "restricted:v1.0"},
		},
		"a level that cannot be read is the strictest": {
			labels: levels("enforce", "basline"), code: 403, message: denied + `"restricted:latest": ` + badRestricted,
			notes: notes{
				"enforce-policy": "restricted:latest",
				"error": `Failed to parse policy: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "basline": ` +
					`must be one of privileged, baseline, restricted`,
			},
		},
		"a namespace that cannot be read refuses": {
			namespace: "unreadable", code: 500, message: "Internal error occurred: the server could not complete the request",
			notes: notes{"error": `failed to lookup namespace "unreadable": etcd is gone`},
		},
		"a namespace that is not there refuses": {
			namespace: "missing", code: 500, message: "Internal error occurred: the server could not complete the request",
			notes: notes{"error": `failed to lookup namespace "missing": namespace "missing" not found`},
		},
		"defaults of the configuration hold without labels": {
			config: `{"apiVersion":"pod-security.admission.config.k8s.io/v1","kind":"PodSecurityConfiguration","defaults":{"enforce":"baseline","enforce-version":"v1.30"}}`,
			change: privileged, code: 403, message: denied + `"baseline:v1.30": ` + badPrivileged, notes: notes{"enforce-policy": "baseline:v1.30"},
		},
		"an exempt namespace":     {namespace: "open", labels: levels("enforce", "baseline"), config: exempting, change: privileged, notes: notes{"exempt": "namespace"}},
		"an exempt user":          {user: "carol", labels: levels("enforce", "baseline"), config: exempting, change: privileged, notes: notes{"exempt": "user"}},
		"an exempt runtime class": {labels: levels("enforce", "baseline"), config: exempting, change: virtual, notes: notes{"exempt": "runtimeClass"}},
		"exempt are those that are named": {
			namespace: "opened", user: "caroline", labels: levels("enforce", "baseline"), config: exempting, change: privileged, code: 403,
			message: denied + `"baseline:latest": ` + badPrivileged, notes: notes{"enforce-policy": "baseline:latest"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			namespace, user := cmp.Or(test.namespace, "ns"), cmp.Or(test.user, "alice")
			a, noted := attributes(t, user, api.RequestInfo{Verb: "create", Version: "v1", Resource: "pods", Namespace: namespace, Name: "web"})
			a.Object = pod("web", test.change)
			code, text := message(t, plugin(t, &world{labels: test.labels}, test.config).Validate(t.Context(), a))
			if code != test.code || text != test.message {
				t.Errorf("got %d %s\nwant %d %s", code, text, test.code, test.message)
			}
			if diff := gocmp.Diff(test.warnings, a.Warnings.List()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			want := notes{}
			for k, v := range test.notes {
				want[prefix+k] = v
			}
			if diff := gocmp.Diff(want, noted); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUpdatesOfPods guards pods that were there before their namespace was labelled: what does not matter to the standards may be changed.
func TestUpdatesOfPods(t *testing.T) {
	ephemeral := func(image string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			privileged(p)
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: image}}}
		}
	}
	for name, test := range map[string]struct {
		subresource string
		old, change func(*corev1.Pod)
		refused     bool
	}{
		"labels":   {"", privileged, func(p *corev1.Pod) { privileged(p); p.Labels = map[string]string{"a": "b"} }, false},
		"an image": {"", privileged, func(p *corev1.Pod) { privileged(p); p.Spec.Containers[0].Image = "other" }, true},
		"a container more": {"", privileged, func(p *corev1.Pod) {
			privileged(p)
			p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
		}, true},
		"an init container more":  {"", privileged, func(p *corev1.Pod) { privileged(p); p.Spec.InitContainers = p.Spec.Containers }, true},
		"a new ephemeral one":     {"ephemeralcontainers", privileged, ephemeral("sh"), true},
		"another image of it":     {"ephemeralcontainers", ephemeral("sh"), ephemeral("bash"), true},
		"the same":                {"ephemeralcontainers", ephemeral("sh"), ephemeral("sh"), false},
		"a resize":                {"resize", privileged, privileged, false},
		"an image by a resize":    {"resize", privileged, func(p *corev1.Pod) { privileged(p); p.Spec.Containers[0].Image = "other" }, true},
		"a way that is not known": {"newthing", privileged, func(p *corev1.Pod) { privileged(p); p.Spec.Containers[0].Image = "other" }, true},
		"a binding":               {"binding", privileged, func(p *corev1.Pod) { privileged(p); p.Spec.Containers[0].Image = "other" }, false},
		"the status":              {"status", privileged, func(p *corev1.Pod) { privileged(p); p.Spec.Containers[0].Image = "other" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := attributes(t, "alice", api.RequestInfo{Verb: "update", Version: "v1", Resource: "pods", Namespace: "ns", Name: "web", Subresource: test.subresource})
			a.Operation, a.Object, a.OldObject = admission.Update, pod("web", test.change), pod("web", test.old)
			code, text := message(t, plugin(t, &world{labels: levels("enforce", "baseline")}, "").Validate(t.Context(), a))
			if refused := code == 403; refused != test.refused {
				t.Errorf("got %d %s", code, text)
			}
		})
	}
}

// TestWorkloads guards every kind that makes pods: its template is warned of and recorded, and never refused.
func TestWorkloads(t *testing.T) {
	template := corev1.PodTemplateSpec{Spec: pod("", privileged).Spec}
	for name, test := range map[string]struct {
		group, resource string
		object          runtime.Object
	}{
		"a pod template":           {"", "podtemplates", &corev1.PodTemplate{Template: template}},
		"a replication controller": {"", "replicationcontrollers", &corev1.ReplicationController{Spec: corev1.ReplicationControllerSpec{Template: &template}}},
		"a replica set":            {"apps", "replicasets", &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Template: template}}},
		"a deployment":             {"apps", "deployments", &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template}}},
		"a daemon set":             {"apps", "daemonsets", &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template}}},
		"a stateful set":           {"apps", "statefulsets", &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: template}}},
		"a job":                    {"batch", "jobs", &batchv1.Job{Spec: batchv1.JobSpec{Template: template}}},
		"a cron job": {"batch", "cronjobs", &batchv1.CronJob{
			Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			all := levels("enforce", "restricted", "warn", "baseline", "audit", "baseline")
			ask := func(namespace, user, subresource string, labels map[string]string) ([]string, map[string]string) {
				info := api.RequestInfo{Verb: "create", Group: test.group, Version: "v1", Resource: test.resource, Namespace: namespace, Name: "web", Subresource: subresource}
				a, notes := attributes(t, user, info)
				a.Object = test.object
				if err := plugin(t, &world{labels: labels}, exempting).Validate(t.Context(), a); err != nil {
					t.Errorf("refused: %v", err)
				}
				return a.Warnings.List(), notes
			}
			text := would + `"baseline:latest": ` + badPrivileged
			warnings, notes := ask("ns", "alice", "", all)
			if diff := gocmp.Diff([]string{text}, warnings); diff != "" {
				t.Error(diff)
			}
			if diff := gocmp.Diff(map[string]string{prefix + "audit-violations": text}, notes); diff != "" {
				t.Error(diff)
			}
			if warnings, notes := ask("ns", "alice", "", levels("enforce", "restricted", "warn", "privileged")); len(warnings)+len(notes) > 0 {
				t.Errorf("what is only enforced was looked at: %q %q", warnings, notes)
			}
			if warnings, notes := ask("ns", "alice", "status", all); len(warnings)+len(notes) > 0 {
				t.Errorf("status was looked at: %q %q", warnings, notes)
			}
			if warnings, notes := ask("ns", "carol", "", all); len(warnings) > 0 || notes[prefix+"exempt"] != "user" {
				t.Errorf("carol is exempt: %q %q", warnings, notes)
			}
			if warnings, notes := ask("unreadable", "alice", "", all); len(warnings) > 0 || notes[prefix+"error"] == "" {
				t.Errorf("an unreadable namespace: %q %q", warnings, notes)
			}
		})
	}
	a, notes := attributes(t, "alice", api.RequestInfo{Verb: "create", Version: "v1", Resource: "replicationcontrollers", Namespace: "ns", Name: "web"})
	a.Object = &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	if err := plugin(t, &world{labels: levels("warn", "restricted")}, "").Validate(t.Context(), a); err != nil || len(a.Warnings.List())+len(notes) > 0 {
		t.Errorf("without a template: %v %q", err, notes)
	}
}

// TestWhatCannotBeLookedAtIsRefused guards against an object that passes because it is not what its resource holds.
func TestWhatCannotBeLookedAtIsRefused(t *testing.T) {
	for plural, object := range map[string]runtime.Object{"pods": &corev1.Node{}, "namespaces": &corev1.Pod{}} {
		a, _ := attributes(t, "alice", api.RequestInfo{Verb: "create", Version: "v1", Resource: plural, Namespace: "ns", Name: "web"})
		a.Object = object
		if code, _ := message(t, plugin(t, &world{}, "").Validate(t.Context(), a)); code != 500 {
			t.Errorf("%s: a %T was let through", plural, object)
		}
	}
}
