package resource

import (
	"fmt"
	"maps"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// What the server itself decides about single kinds. The complete defaults and field rules per kind are not here yet; these
// are the ones that safety or the machinery of this server rests on.

// MaxDataBytes bounds the data of a Secret or ConfigMap.
const MaxDataBytes = 1 << 20

func createNamespace(o Object, _ api.User) {
	ns := o.(*corev1.Namespace)
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	labelWithName(ns)
}

// updateNamespace protects spec.finalizers, which only the finalize subresource may change.
func updateNamespace(o, old Object, part part) {
	ns, was := o.(*corev1.Namespace), old.(*corev1.Namespace)
	if part == finalizersOnly {
		finalizers := ns.Spec.Finalizers
		*ns = *was.DeepCopy()
		ns.Spec.Finalizers = finalizers
	} else {
		ns.Spec.Finalizers = was.Spec.Finalizers
	}
	labelWithName(ns)
}

// labelWithName forces the label by which selectors find a namespace by name.
func labelWithName(ns *corev1.Namespace) {
	labels := maps.Clone(ns.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = ns.Name
	ns.Labels = labels
}

func createPod(o Object, _ api.User) {
	pod := o.(*corev1.Pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(pod)}
}

// updatePod keeps the class that follows from the spec, which a status without one does not mean to clear.
func updatePod(o, old Object, _ part) {
	pod, was := o.(*corev1.Pod), old.(*corev1.Pod)
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = was.Status.QOSClass
	}
}

// checkPod keeps a pod that was admitted from becoming another one: what runs in it, as whom and where stays. Its images,
// deadline, tolerations and scheduling gates may change as the reference allows.
func checkPod(o, old Object) field.ErrorList {
	if old == nil {
		return nil
	}
	pod, was := o.(*corev1.Pod), old.(*corev1.Pod)
	changed := pod.Spec.DeepCopy()
	keepImages(changed.Containers, was.Spec.Containers)
	keepImages(changed.InitContainers, was.Spec.InitContainers)
	changed.ActiveDeadlineSeconds = was.Spec.ActiveDeadlineSeconds
	if contains(changed.Tolerations, was.Spec.Tolerations, identity) {
		changed.Tolerations = was.Spec.Tolerations
	}
	if contains(was.Spec.SchedulingGates, changed.SchedulingGates, func(g corev1.PodSchedulingGate) corev1.PodSchedulingGate { return g }) {
		changed.SchedulingGates = was.Spec.SchedulingGates
	}
	if g, had := pod.Spec.TerminationGracePeriodSeconds, was.Spec.TerminationGracePeriodSeconds; g != nil && *g == 1 && had != nil && *had < 0 {
		changed.TerminationGracePeriodSeconds = had
	}
	if apiequality.Semantic.DeepEqual(changed, &was.Spec) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("spec"), "pod updates may not change fields other than "+
		"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "+
		"(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")}
}

// keepImages gives the containers the images they had, so that the rest can be compared.
func keepImages(containers, was []corev1.Container) {
	for i := range min(len(containers), len(was)) {
		containers[i].Image = was[i].Image
	}
}

// identity is the toleration without its duration, which may change.
func identity(t corev1.Toleration) corev1.Toleration {
	t.TolerationSeconds = nil
	return t
}

// contains reports whether each of part is among all, by what id makes of them.
func contains[T comparable](all, part []T, id func(T) T) bool {
	have := make(map[T]bool, len(all))
	for _, x := range all {
		have[id(x)] = true
	}
	for _, x := range part {
		if !have[id(x)] {
			return false
		}
	}
	return true
}

// qosClass follows from the cpu and memory requests and limits of all containers: none set is BestEffort, every limit
// set and equal to its request is Guaranteed, anything else Burstable.
func qosClass(pod *corev1.Pod) corev1.PodQOSClass {
	anySet, guaranteed := false, true
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, hasLimit := c.Resources.Limits[name]
			request, hasRequest := c.Resources.Requests[name]
			hasLimit = hasLimit && !limit.IsZero()
			hasRequest = hasRequest && !request.IsZero()
			anySet = anySet || hasLimit || hasRequest
			guaranteed = guaranteed && hasLimit && (!hasRequest || request.Cmp(limit) == 0)
		}
	}
	switch {
	case !anySet:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

func createSecret(o Object, _ api.User) {
	s := o.(*corev1.Secret)
	if s.Type == "" {
		s.Type = corev1.SecretTypeOpaque
	}
	for key, value := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

func checkSecret(o, old Object) field.ErrorList {
	s := o.(*corev1.Secret)
	var errs field.ErrorList
	if old != nil {
		was := old.(*corev1.Secret)
		if s.Type != was.Type {
			errs = append(errs, field.Invalid(field.NewPath("type"), s.Type, "field is immutable"))
		}
		if isTrue(was.Immutable) {
			errs = append(errs, immutable(isTrue(s.Immutable), map[string]bool{
				"data": apiequality.Semantic.DeepEqual(s.Data, was.Data),
			})...)
		}
	}
	total := 0
	for key, value := range s.Data {
		errs = append(errs, dataKey(key)...)
		total += len(value)
	}
	if total > MaxDataBytes {
		errs = append(errs, field.TooLong(field.NewPath("data"), "", MaxDataBytes))
	}
	return errs
}

func checkConfigMap(o, old Object) field.ErrorList {
	c := o.(*corev1.ConfigMap)
	var errs field.ErrorList
	if old != nil && isTrue(old.(*corev1.ConfigMap).Immutable) {
		was := old.(*corev1.ConfigMap)
		errs = append(errs, immutable(isTrue(c.Immutable), map[string]bool{
			"data":       apiequality.Semantic.DeepEqual(c.Data, was.Data),
			"binaryData": apiequality.Semantic.DeepEqual(c.BinaryData, was.BinaryData),
		})...)
	}
	total := 0
	for key, value := range c.Data {
		errs = append(errs, dataKey(key)...)
		if _, twice := c.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
		total += len(value)
	}
	for key, value := range c.BinaryData {
		errs = append(errs, dataKey(key)...)
		total += len(value)
	}
	if total > MaxDataBytes {
		errs = append(errs, field.TooLong(field.NewPath(""), "", MaxDataBytes))
	}
	return errs
}

func dataKey(key string) (errs field.ErrorList) {
	for _, msg := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, msg))
	}
	return errs
}

// immutable refuses changes to an object whose immutable field is set, the unsetting of that field included.
func immutable(still bool, unchanged map[string]bool) (errs field.ErrorList) {
	if !still {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
	}
	for _, name := range slices.Sorted(maps.Keys(unchanged)) {
		if !unchanged[name] {
			errs = append(errs, field.Forbidden(field.NewPath(name), "field is immutable when `immutable` is set"))
		}
	}
	return errs
}

func isTrue(b *bool) bool { return b != nil && *b }

// createCSR stamps the requester: what a signer will trust must not come from the body.
func createCSR(o Object, user api.User) {
	csr := o.(*certificatesv1.CertificateSigningRequest)
	csr.Spec.Username, csr.Spec.UID, csr.Spec.Groups, csr.Spec.Extra = user.Name, user.UID, user.Groups, nil
	if len(user.Extra) > 0 {
		csr.Spec.Extra = make(map[string]certificatesv1.ExtraValue, len(user.Extra))
		for key, values := range user.Extra {
			csr.Spec.Extra[key] = values
		}
	}
	csr.Status = certificatesv1.CertificateSigningRequestStatus{}
}

// updateCSR lets each subresource write its part only: approval the approving and denying conditions, status the
// certificate and the other conditions, the main resource neither spec nor status.
func updateCSR(o, old Object, part part) {
	csr, was := o.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	conditions := csr.Status.Conditions
	csr.Spec = *was.Spec.DeepCopy()
	switch part {
	case approvalOnly:
		meta := csr.ObjectMeta
		*csr = *was.DeepCopy()
		csr.ResourceVersion = meta.ResourceVersion
		csr.Status.Conditions = mergeConditions(was.Status.Conditions, conditions, isApproval)
	case statusOnly:
		csr.Status.Conditions = mergeConditions(was.Status.Conditions, conditions, func(t certificatesv1.RequestConditionType) bool {
			return !isApproval(t)
		})
	}
}

func isApproval(t certificatesv1.RequestConditionType) bool {
	return t == certificatesv1.CertificateApproved || t == certificatesv1.CertificateDenied
}

// mergeConditions takes the conditions of the types it may write from now and keeps the others.
func mergeConditions(was, now []certificatesv1.CertificateSigningRequestCondition, mine func(certificatesv1.RequestConditionType) bool) []certificatesv1.CertificateSigningRequestCondition {
	merged := slices.DeleteFunc(slices.Clone(was), func(c certificatesv1.CertificateSigningRequestCondition) bool { return mine(c.Type) })
	for _, c := range now {
		if mine(c.Type) {
			merged = append(merged, c)
		}
	}
	return merged
}

// checkRole checks that each rule says what it is about. Rules of a namespaced role cannot be about paths.
func checkRole(o, _ Object) (errs field.ErrorList) {
	var rules []rbacv1.PolicyRule
	namespaced := false
	switch r := o.(type) {
	case *rbacv1.Role:
		rules, namespaced = r.Rules, true
	case *rbacv1.ClusterRole:
		rules = r.Rules
		errs = checkAggregation(r.AggregationRule)
	}
	for i, r := range rules {
		at := field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			errs = append(errs, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
		}
		if len(r.NonResourceURLs) > 0 {
			if namespaced {
				errs = append(errs, field.Invalid(at.Child("nonResourceURLs"), r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
			}
			if len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0 {
				errs = append(errs, field.Invalid(at.Child("nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			errs = append(errs, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
		}
		if len(r.Resources) == 0 {
			errs = append(errs, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
		}
	}
	return errs
}

func checkAggregation(rule *rbacv1.AggregationRule) (errs field.ErrorList) {
	if rule == nil {
		return nil
	}
	at := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		errs = append(errs, field.Required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
	}
	for i := range rule.ClusterRoleSelectors {
		if _, err := metav1.LabelSelectorAsSelector(&rule.ClusterRoleSelectors[i]); err != nil {
			errs = append(errs, field.Invalid(at.Index(i), rule.ClusterRoleSelectors[i], err.Error()))
		}
	}
	return errs
}

// checkBinding keeps the role of a binding from being exchanged under its subjects, and checks that both are named.
func checkBinding(o, old Object) field.ErrorList {
	ref, subjects := bindingParts(o)
	var errs field.ErrorList
	if old != nil {
		if was, _ := bindingParts(old); was != ref {
			errs = append(errs, field.Invalid(field.NewPath("roleRef"), ref, "cannot change roleRef"))
		}
	}
	path := field.NewPath("roleRef")
	if ref.APIGroup != rbacv1.GroupName && ref.APIGroup != "" {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	kinds := []string{"ClusterRole"}
	if _, ok := o.(*rbacv1.RoleBinding); ok {
		kinds = []string{"Role", "ClusterRole"}
	}
	if !slices.Contains(kinds, ref.Kind) {
		errs = append(errs, field.NotSupported(path.Child("kind"), ref.Kind, kinds))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	for i, s := range subjects {
		at := field.NewPath("subjects").Index(i)
		if s.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
		if !slices.Contains([]string{"User", "Group", "ServiceAccount"}, s.Kind) {
			errs = append(errs, field.NotSupported(at.Child("kind"), s.Kind, []string{"ServiceAccount", "User", "Group"}))
		}
		if _, cluster := o.(*rbacv1.ClusterRoleBinding); cluster && s.Kind == "ServiceAccount" && s.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), ""))
		}
	}
	return errs
}

func bindingParts(o Object) (rbacv1.RoleRef, []rbacv1.Subject) {
	switch b := o.(type) {
	case *rbacv1.RoleBinding:
		return b.RoleRef, b.Subjects
	case *rbacv1.ClusterRoleBinding:
		return b.RoleRef, b.Subjects
	}
	panic(fmt.Sprintf("%T is not a binding", o))
}
