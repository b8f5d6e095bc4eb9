//lint:file-ignore SA1019 ConfigSource is deprecated for clients; a server has to check it.

package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Annotations in which nodes once had what later became fields.
const (
	taintsAnnotation    = "scheduler.alpha.kubernetes.io/taints"
	avoidPodsAnnotation = "scheduler.alpha.kubernetes.io/preferAvoidPods"
)

func checkNodeAnnotations(c *rules.Checker, n *corev1.Node) {
	if text := n.Annotations[taintsAnnotation]; text != "" {
		// The reference reads these into a type without JSON names, which matches the same names in any case.
		var taints []corev1.Taint
		if err := json.Unmarshal([]byte(text), &taints); err != nil {
			c.Add(field.Invalid(c.At("metadata", "annotations"), taintsAnnotation, err.Error()))
			taints = nil
		}
		checkTaints(c, taints, func() *field.Path { return c.At("metadata", "annotations", taintsAnnotation) })
	}
	text := n.Annotations[avoidPodsAnnotation]
	if text == "" {
		return
	}
	var avoid corev1.AvoidPods
	if err := json.Unmarshal([]byte(text), &avoid); err != nil {
		c.Add(field.Invalid(c.At("metadata", "annotations", "AvoidPods"), avoidPodsAnnotation, err.Error()))
		return
	}
	for i, entry := range avoid.PreferAvoidPods {
		at := c.At("metadata", "annotations", avoidPodsAnnotation).Index(i).Child("PodSignature")
		switch owner := entry.PodSignature.PodController; {
		case owner == nil:
			c.Add(field.Required(at, ""))
		case !isTrue(owner.Controller):
			c.Add(field.Invalid(at.Child("PodController", "Controller"), false, "must point to a controller"))
		}
	}
}

func checkTaints(c *rules.Checker, taints []corev1.Taint, path func() *field.Path) {
	type identity struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := make(map[identity]bool, len(taints))
	for i, t := range taints {
		if len(metav1validation.ValidateLabelName(t.Key, nil)) > 0 {
			c.Add(metav1validation.ValidateLabelName(t.Key, path().Index(i).Child("key"))...)
		}
		if messages := validation.IsValidLabelValue(t.Value); len(messages) > 0 {
			c.Add(field.Invalid(path().Index(i).Child("value"), t.Value, strings.Join(messages, ";")))
		}
		switch t.Effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		case "":
			c.Add(field.Required(path().Index(i).Child("effect"), ""))
		default:
			c.Add(field.NotSupported(path().Index(i).Child("effect"), t.Effect,
				[]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}))
		}
		if id := (identity{t.Key, t.Effect}); seen[id] {
			err := field.Duplicate(path().Index(i), rules.Shown(t))
			err.Detail = "taints must be unique by key and effect pair"
			c.Add(err)
		} else {
			seen[id] = true
		}
	}
}

// featureName is how kubelets write the features they declare: segments beginning with letters, the first with an upper-case one.
var featureName = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)

func checkDeclaredFeatures(c *rules.Checker, features []string) {
	at := func(i int) *field.Path { return c.At("status", "declaredFeatures").Index(i) }
	for i, f := range features {
		switch {
		case len(f) > validation.DNS1123SubdomainMaxLength:
			c.Add(field.Invalid(at(i), f, fmt.Sprintf("invalid feature name %q: must be no more than %d characters", f, validation.DNS1123SubdomainMaxLength)))
		case !featureName.MatchString(f):
			c.Add(field.Invalid(at(i), f, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments "+
				"separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", f)))
		}
		if i+1 == len(features) {
			return
		}
		switch next := features[i+1]; {
		case f == next:
			c.Add(field.Duplicate(at(i+1), next))
		case f > next:
			c.Add(field.Invalid(at(i+1), next, "list must be sorted alphabetically"))
		}
	}
}

// checkPodCIDRs asks for at most one network of each IP family.
func checkPodCIDRs(c *rules.Checker, cidrs []string) {
	for i, cidr := range cidrs {
		if len(validation.IsValidCIDRForLegacyField(nil, cidr, true, nil)) > 0 {
			c.Add(validation.IsValidCIDRForLegacyField(c.At("spec", "podCIDRs").Index(i), cidr, true, nil)...)
		}
	}
	if len(cidrs) < 2 {
		return
	}
	v4, v6 := false, false
	for i, cidr := range cidrs {
		ip, _, err := net.ParseCIDR(cidr)
		if err != nil {
			c.Add(field.InternalError(c.At("spec", "podCIDRs"), fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:"+
				"invalid CIDR[%d]: <nil> (%w)", i, err)))
			v4, v6 = false, false
			break
		}
		v4, v6 = v4 || ip.To4() != nil, v6 || ip.To4() == nil
	}
	if !v4 || !v6 || len(cidrs) > 2 {
		c.Add(field.Invalid(c.At("spec", "podCIDRs"), cidrs, "may specify no more than one CIDR for each IP family"))
	}
}

func warnOfNode(c *rules.Checker, s, _ *corev1.NodeSpec) {
	if s.ConfigSource != nil {
		c.Warn("spec.configSource: the feature is removed")
	}
	if s.DoNotUseExternalID != "" {
		c.Warn("spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, cidr := range s.PodCIDRs {
		if _, _, err := net.ParseCIDR(cidr); err == nil {
			for _, text := range validation.GetWarningsForCIDR(c.At("podCIDRs").Index(i), cidr) {
				c.Warn(text)
			}
		}
	}
}

// checkConfigSource checks the source that a kubelet once could be configured from; objects that have one keep it.
func checkConfigSource(c *rules.Checker, s *corev1.NodeConfigSource, path func() *field.Path, state func(*rules.Checker, *corev1.ConfigMapNodeConfigSource, *field.Path)) {
	m := s.ConfigMap
	if m == nil {
		c.Add(field.Invalid(path(), rules.Shown(s), "exactly one reference subfield must be non-nil"))
		return
	}
	at := path().Child("configMap")
	state(c, m, at)
	check := func(name, value string, messages func(string) []string) {
		if value == "" {
			c.Add(field.Required(at.Child(name), ""))
			return
		}
		for _, text := range messages(value) {
			c.Add(field.Invalid(at.Child(name), value, text))
		}
	}
	check("namespace", m.Namespace, func(s string) []string { return apivalidation.ValidateNamespaceName(s, false) })
	check("name", m.Name, func(s string) []string { return apivalidation.NameIsDNSSubdomain(s, false) })
	check("kubeletConfigKey", m.KubeletConfigKey, validation.IsConfigMapKey)
}

func checkUnresolved(c *rules.Checker, m *corev1.ConfigMapNodeConfigSource, at *field.Path) {
	if m.UID != "" {
		c.Add(field.Forbidden(at.Child("uid"), "uid must not be set in spec"))
	}
	if m.ResourceVersion != "" {
		c.Add(field.Forbidden(at.Child("resourceVersion"), "resourceVersion must not be set in spec"))
	}
}

func checkResolved(c *rules.Checker, m *corev1.ConfigMapNodeConfigSource, at *field.Path) {
	if m.UID == "" {
		c.Add(field.Required(at.Child("uid"), ""))
	}
	if m.ResourceVersion == "" {
		c.Add(field.Required(at.Child("resourceVersion"), ""))
	}
}
