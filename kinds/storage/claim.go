package storage

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// PersistentVolumeClaim are the defaults and rules of a PersistentVolumeClaim. It names its volume once; what it asks for stays, but
// that a bound claim may ask for more and for other attributes.
func PersistentVolumeClaim() *rules.Kind {
	return rules.For(rules.Spec[corev1.PersistentVolumeClaim]{
		Fields: []rules.Entry{
			rules.At("status.phase", rules.Default(corev1.ClaimPending)),
			rules.At("status.capacity", core.RoundedUp()),
			rules.At("status.allocatedResources", core.RoundedUp()),
			rules.At("spec", core.ClaimSpec()),
			rules.At("", rules.Check(checkClaimUnchanged), rules.Check(warnClaim)),
		},
		Create: func(o *corev1.PersistentVolumeClaim) {
			o.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
			settleSources(&o.Spec, nil)
		},
		Update: func(o, old *corev1.PersistentVolumeClaim) {
			settleSources(&o.Spec, &old.Spec)
			equalizeSources(&old.Spec)
		},
		Parts: map[string]rules.Part[corev1.PersistentVolumeClaim]{
			"status": {Fields: []rules.Entry{rules.At("", rules.Check(checkClaimStatus))}},
		},
	})
}

// settleSources makes both ways of naming the source say the same. The older one knew two kinds of sources only and ignored any other, and
// so it does still. Sources in other namespaces are not offered.
func settleSources(spec, old *corev1.PersistentVolumeClaimSpec) {
	if ref := spec.DataSourceRef; ref != nil && ref.Namespace != nil && *ref.Namespace != "" && (old == nil || old.DataSourceRef == nil) {
		spec.DataSourceRef = nil
	}
	hadSource := old != nil && (old.DataSource != nil || old.DataSourceRef != nil)
	if !hadSource && spec.DataSourceRef == nil && !isOldSource(spec.DataSource) {
		spec.DataSource = nil
	}
	equalizeSources(spec)
}

func isOldSource(s *corev1.TypedLocalObjectReference) bool {
	if s == nil {
		return false
	}
	group := ""
	if s.APIGroup != nil {
		group = *s.APIGroup
	}
	return s.Kind == "PersistentVolumeClaim" && group == "" || s.Kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io"
}

func equalizeSources(spec *corev1.PersistentVolumeClaimSpec) {
	switch source, ref := spec.DataSource, spec.DataSourceRef; {
	case source != nil && ref == nil:
		source = source.DeepCopy()
		spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: source.APIGroup, Kind: source.Kind, Name: source.Name}
	case source == nil && ref != nil && (ref.Namespace == nil || *ref.Namespace == ""):
		ref = ref.DeepCopy()
		spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	}
}

func checkClaimUnchanged(c *rules.Checker, v, old *corev1.PersistentVolumeClaim) {
	if old == nil {
		return
	}
	spec, was := v.Spec.DeepCopy(), old.Spec.DeepCopy()
	if was.VolumeName == "" {
		was.VolumeName = spec.VolumeName
	}
	keepClassName(c, v, old, spec)
	if v.Status.Phase == corev1.ClaimBound {
		if spec.Resources.Requests != nil {
			spec.Resources.Requests[corev1.ResourceStorage] = old.Spec.Resources.Requests[corev1.ResourceStorage]
		}
		spec.VolumeAttributesClassName = was.VolumeAttributesClassName
	}
	if !apiequality.Semantic.DeepEqual(spec, was) {
		c.Add(field.Forbidden(field.NewPath("spec"), "spec is immutable after creation except resources.requests and "+
			"volumeAttributesClassName for bound claims\n"+rules.Diff(was, spec)))
	}
	checkShrinking(c, v, old)
	if !apiequality.Semantic.DeepEqual(v.Spec.VolumeMode, old.Spec.VolumeMode) {
		c.Add(field.Invalid(field.NewPath("volumeMode"), v.Spec.VolumeMode, validation.FieldImmutableErrorMsg))
	}
	checkAttributesKept(c, v, old)
}

// keepClassName allows a claim that has no class to get one: the one that its annotation names, if there is such an annotation. Where that
// is what happens, spec and the claim it is compared with are made to look alike.
func keepClassName(c *rules.Checker, v, old *corev1.PersistentVolumeClaim, spec *corev1.PersistentVolumeClaimSpec) {
	was, annotated := old.Annotations[corev1.BetaStorageClassAnnotation]
	now, still := v.Annotations[corev1.BetaStorageClassAnnotation]
	gets := old.Spec.StorageClassName == nil && v.Spec.StorageClassName != nil
	if gets && annotated && *v.Spec.StorageClassName == was && (!still || now == was) {
		spec.StorageClassName = nil
		return
	}
	if was != now {
		c.Add(field.Invalid(field.NewPath("metadata", "annotations", corev1.BetaStorageClassAnnotation), now, validation.FieldImmutableErrorMsg))
	}
	if gets && (!annotated || *v.Spec.StorageClassName == was) {
		spec.StorageClassName = old.Spec.StorageClassName
	}
}

// checkShrinking lets a claim ask for less than before, as long as it is more than it has: that is how a failed expansion is taken back.
func checkShrinking(c *rules.Checker, v, old *corev1.PersistentVolumeClaim) {
	size, was, has := storageIn(v.Spec.Resources.Requests), storageIn(old.Spec.Resources.Requests), storageIn(old.Status.Capacity)
	if size.Cmp(was) < 0 && size.Cmp(has) <= 0 {
		c.Add(field.Forbidden(field.NewPath("spec", "resources", "requests", "storage"), "field can not be less than status.capacity"))
	}
}

func storageIn(list corev1.ResourceList) resource.Quantity { return list[corev1.ResourceStorage] }

func checkAttributesKept(c *rules.Checker, v, old *corev1.PersistentVolumeClaim) {
	name := v.Spec.VolumeAttributesClassName
	if old.Status.CurrentVolumeAttributesClassName == nil || apiequality.Semantic.DeepEqual(name, old.Spec.VolumeAttributesClassName) {
		return
	}
	at := field.NewPath("spec", "volumeAttributesClassName")
	switch {
	case name == nil:
		c.Add(field.Forbidden(at, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"))
	case *name == "":
		c.Add(field.Forbidden(at, "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil"))
	}
}

func checkClaimStatus(c *rules.Checker, v, _ *corev1.PersistentVolumeClaim) {
	at := field.NewPath("status")
	for _, name := range slices.Sorted(maps.Keys(v.Status.Capacity)) {
		c.Add(notNegative(at.Child("capacity").Key(string(name)), v.Status.Capacity[name])...)
	}
	known := []corev1.ClaimResourceStatus{
		corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
		corev1.PersistentVolumeClaimNodeResizePending, corev1.PersistentVolumeClaimNodeResizeInProgress,
		corev1.PersistentVolumeClaimNodeResizeInfeasible,
	}
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(v.Status.AllocatedResourceStatuses)) {
		c.Add(claimResource(at.Child("allocatedResourceStatuses"), name)...)
		if !slices.Contains(known, v.Status.AllocatedResourceStatuses[name]) {
			c.Add(field.NotSupported(at.Child("allocatedResourceStatuses"), name, known))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Status.AllocatedResources)) {
		if errs := claimResource(at.Child("allocatedResources"), name); len(errs) > 0 {
			c.Add(errs...)
			continue
		}
		c.Add(notNegative(at.Child("allocatedResources").Key(string(name)), v.Status.AllocatedResources[name])...)
	}
}

func notNegative(at *field.Path, q resource.Quantity) field.ErrorList {
	if q.Value() < 0 {
		return field.ErrorList{field.Invalid(at, q.Value(), "must be a valid resource quantity")}
	}
	return nil
}

// claimResource returns what is wrong with the name of something that a claim has been given: it is storage, or somebody else's.
func claimResource(at *field.Path, name corev1.ResourceName) (errs field.ErrorList) {
	for _, m := range utilvalidation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(at, string(name), m))
	}
	if len(errs) == 0 && core.IsNative(name) && name != corev1.ResourceStorage {
		errs = append(errs, field.NotSupported(at, string(name), []corev1.ResourceName{corev1.ResourceStorage}))
	}
	return errs
}

func warnClaim(c *rules.Checker, v, _ *corev1.PersistentVolumeClaim) {
	warnAnnotation(c, v.Annotations, corev1.BetaStorageClassAnnotation, `deprecated since v1.8; use "storageClassName" attribute instead`)
	warnFraction(c, "requests", v.Spec.Resources.Requests)
	warnFraction(c, "limits", v.Spec.Resources.Limits)
}

func warnFraction(c *rules.Checker, list string, in corev1.ResourceList) {
	if q := storageIn(in); q.MilliValue()%1000 != 0 {
		c.Warn(field.NewPath("spec", "resources", list).Key("storage").String() + ": fractional byte value \"" + q.String() +
			"\" is invalid, must be an integer")
	}
}
