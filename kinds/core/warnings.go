package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// warnAboutPod warns when a pod is created. Updates are frequent and hardly ever made by people.
func warnAboutPod(c *rules.Checker, pod, _ *corev1.Pod) {
	if c.Updating() || c.Failed() > 0 {
		return
	}
	if errs := utilvalidation.IsDNS1123Label(pod.Name); len(errs) > 0 {
		c.Warn(fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "+
			"a DNS label is recommended: %v", errs))
	}
	warnings{c: c, spec: &pod.Spec, annotations: pod.Annotations, said: new(int)}.all()
}

// PodTemplateWarnings warns about what will surprise in the pods that are made of a template. Kinds attach it with [rules.Check] to the template
// and decide themselves whether an update deserves warnings.
func PodTemplateWarnings(c *rules.Checker, v, _ *corev1.PodTemplateSpec) {
	if c.Failed() == 0 {
		warnings{c: c, spec: &v.Spec, annotations: v.Annotations, template: true, said: new(int)}.all()
	}
}

// warnings says what is allowed and yet not what was meant, about a pod or a template of pods.
type warnings struct {
	c           *rules.Checker
	spec        *corev1.PodSpec
	annotations map[string]string
	template    bool
	said        *int
}

// maxWarnings bounds what is said about one object, which is more than a client is ever sent.
const maxWarnings = 200

func (w warnings) enough() bool { return *w.said >= maxWarnings }

func (w warnings) say(format string, args ...any) {
	if !w.enough() {
		*w.said++
		w.c.Warn(fmt.Sprintf(format, args...))
	}
}

func (w warnings) at(name string, more ...string) *field.Path {
	return w.c.At("spec", append([]string{name}, more...)...)
}

func (w warnings) of(p *field.Path, format string, args ...any) {
	w.say("%s: %s", p, fmt.Sprintf(format, args...))
}

func (w warnings) all() {
	w.placement()
	w.deprecatedAnnotations()
	for i := range w.spec.Volumes {
		w.volume(&w.spec.Volumes[i], func(name ...string) *field.Path { return w.at("volumes").Index(i).Child(name[0], name[1:]...) })
	}
	w.overlaps()
	w.repeated()
	w.fraction(w.spec.Overhead, corev1.ResourceMemory, func() *field.Path { return w.at("overhead") })
	w.fraction(w.spec.Overhead, corev1.ResourceEphemeralStorage, func() *field.Path { return w.at("overhead") })
	w.profiles()
	w.ports()
	if g := w.spec.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.of(w.at("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.nothingSelected()
	w.addresses()
}

func (w warnings) deprecatedAnnotations() {
	for _, a := range []struct{ key, why string }{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, ok := w.annotations[a.key]; ok {
			w.of(w.c.At("metadata", "annotations").Key(a.key), "%s", a.why)
		}
	}
}

// placement is for what selects nodes by labels that no longer exist.
func (w warnings) placement() {
	for _, key := range slices.Sorted(maps.Keys(w.spec.NodeSelector)) {
		if why := DeprecatedNodeLabel(key); why != "" {
			w.of(w.at("nodeSelector").Key(key), "%s", why)
		}
	}
	if n := nodeAffinity(w.spec.Affinity); n != nil {
		for i, t := range requiredTerms(n) {
			w.nodeTerm(&t, false, func() *field.Path {
				return w.at("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms").Index(i)
			})
		}
		for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			w.nodeTerm(&t.Preference, true, func() *field.Path {
				return w.at("affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("preference")
			})
		}
	}
	for i, s := range w.spec.TopologySpreadConstraints {
		if why := DeprecatedNodeLabel(s.TopologyKey); why != "" {
			w.of(w.at("topologySpreadConstraints").Index(i).Child("topologyKey"), "%s is %s", s.TopologyKey, why)
		}
		if s.LabelSelector == nil {
			w.of(w.at("topologySpreadConstraints").Index(i).Child("labelSelector"), selectsNothing)
		}
	}
}

const selectsNothing = "a null labelSelector results in matching no pod"

func (w warnings) nodeTerm(t *corev1.NodeSelectorTerm, values bool, at func() *field.Path) {
	for i, e := range t.MatchExpressions {
		if why := DeprecatedNodeLabel(e.Key); why != "" {
			w.of(at().Child("matchExpressions").Index(i).Child("key"), "%s is %s", e.Key, why)
		}
		for j, value := range e.Values {
			if !values {
				break
			}
			for _, m := range utilvalidation.IsValidLabelValue(value) {
				w.of(at().Child("matchExpressions").Index(i).Child("values").Index(j), "%s is invalid, %s", value, m)
			}
		}
	}
}

// volume is for drivers that are gone.
func (w warnings) volume(v *corev1.Volume, at func(...string) *field.Path) {
	for _, gone := range []struct {
		name string
		used bool
		why  string
	}{
		{"photonPersistentDisk", v.PhotonPersistentDisk != nil, "deprecated in v1.11, non-functional in v1.16+"},
		{"gitRepo", v.GitRepo != nil, "deprecated in v1.11, and disabled by default in v1.33+"},
		{"scaleIO", v.ScaleIO != nil, "deprecated in v1.16, non-functional in v1.22+"},
		{"flocker", v.Flocker != nil, "deprecated in v1.22, non-functional in v1.25+"},
		{"storageOS", v.StorageOS != nil, "deprecated in v1.22, non-functional in v1.25+"},
		{"quobyte", v.Quobyte != nil, "deprecated in v1.22, non-functional in v1.25+"},
		{"glusterfs", v.Glusterfs != nil, "deprecated in v1.25, non-functional in v1.26+"},
		{"cephfs", v.CephFS != nil, "deprecated in v1.28, non-functional in v1.31+"},
		{"rbd", v.RBD != nil, "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if gone.used {
			w.of(at(gone.name), "%s", gone.why)
		}
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		r := v.Ephemeral.VolumeClaimTemplate.Spec.Resources
		path := func(list string) func() *field.Path {
			return func() *field.Path { return at("ephemeral", "volumeClaimTemplate", "spec", "resources", list) }
		}
		w.fraction(r.Requests, corev1.ResourceStorage, path("requests"))
		w.fraction(r.Limits, corev1.ResourceStorage, path("limits"))
	}
}

// fraction is for parts of bytes.
func (w warnings) fraction(list corev1.ResourceList, name corev1.ResourceName, at func() *field.Path) {
	if q, ok := list[name]; ok && isBroken(q) {
		w.of(at().Key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
	}
}

func isBroken(q resource.Quantity) bool { return q.MilliValue()%1000 != 0 }

// repeated is for lists of which only the first or the last element with a name counts.
func (w warnings) repeated() {
	seen := map[string]bool{}
	for i, a := range w.spec.HostAliases {
		if seen[a.IP] {
			w.of(w.at("hostAliases").Index(i).Child("ip"), "duplicate ip %q", a.IP)
		}
		seen[a.IP] = true
	}
	seen = map[string]bool{}
	for i, s := range w.spec.ImagePullSecrets {
		if seen[s.Name] {
			w.of(w.at("imagePullSecrets").Index(i).Child("name"), "duplicate name %q", s.Name)
		}
		seen[s.Name] = true
	}
	for i, s := range w.spec.ImagePullSecrets {
		if s.Name == "" {
			w.of(w.at("imagePullSecrets").Index(i).Child("name"), "invalid empty name %q", s.Name)
		}
	}
}

// profiles is for annotations that nothing reads, and goes on through everything else about single containers.
func (w warnings) profiles() {
	const useField = `non-functional in v1.27+; use the "seccompProfile" field instead`
	annotation := func(key string) *field.Path { return w.c.At("metadata", "annotations").Key(key) }
	pod := w.spec.SecurityContext
	if _, ok := w.annotations[corev1.SeccompPodAnnotationKey]; ok && (pod == nil || pod.SeccompProfile == nil) {
		w.of(annotation(corev1.SeccompPodAnnotationKey), "%s", useField)
	}
	eachContainer(w.spec, func(list string, i int, ctr *corev1.Container) {
		key := corev1.SeccompContainerAnnotationKeyPrefix + ctr.Name
		if _, ok := w.annotations[key]; ok && (ctr.SecurityContext == nil || ctr.SecurityContext.SeccompProfile == nil) {
			w.of(annotation(key), "%s", useField)
		}
		key = corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + ctr.Name
		value, ok := w.annotations[key]
		if ok && w.template && (ctr.SecurityContext == nil || ctr.SecurityContext.AppArmorProfile == nil) &&
			(pod == nil || pod.AppArmorProfile == nil || !sameAppArmor(pod.AppArmorProfile, annotatedAppArmor(value))) {
			warnOfAppArmor(w.c, annotation(key))
		}
		at := func(name string, more ...string) *field.Path { return w.at(list).Index(i).Child(name, more...) }
		for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
			w.fraction(ctr.Resources.Limits, name, func() *field.Path { return at("resources", "limits") })
			w.fraction(ctr.Resources.Requests, name, func() *field.Path { return at("resources", "requests") })
		}
		w.hiddenVariables(ctr.Env, func(j int) *field.Path { return at("env").Index(j) })
	})
}

// hiddenVariables is for variables that are set again without making use of the value they had.
func (w warnings) hiddenVariables(env []corev1.EnvVar, at func(int) *field.Path) {
	seen := make(map[string]bool, len(env))
	for i, v := range env {
		if reference := "$(" + v.Name + ")"; seen[v.Name] &&
			(v.ValueFrom != nil || v.Value == reference || !strings.Contains(v.Value, reference)) {
			w.of(at(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		seen[v.Name] = true
	}
}

// nothingSelected is for terms about other pods that match none.
func (w warnings) nothingSelected() {
	if w.spec.Affinity == nil {
		return
	}
	terms := func(name string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			if required[i].LabelSelector == nil {
				w.of(w.at("affinity", name, "requiredDuringSchedulingIgnoredDuringExecution").Index(i).Child("labelSelector"), selectsNothing)
			}
		}
		for i := range preferred {
			if preferred[i].PodAffinityTerm.LabelSelector == nil {
				w.of(w.at("affinity", name, "preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("podAffinityTerm", "labelSelector"),
					selectsNothing)
			}
		}
	}
	if a := w.spec.Affinity.PodAffinity; a != nil {
		terms("podAffinity", a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := w.spec.Affinity.PodAntiAffinity; a != nil {
		terms("podAntiAffinity", a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (w warnings) addresses() {
	if d := w.spec.DNSConfig; d != nil {
		for i, s := range d.Nameservers {
			warnOfAddress(w.c, s, func() *field.Path { return w.at("dnsConfig", "nameservers").Index(i) })
		}
	}
	for i, a := range w.spec.HostAliases {
		warnOfAddress(w.c, a.IP, func() *field.Path { return w.at("hostAliases").Index(i).Child("ip") })
	}
}
