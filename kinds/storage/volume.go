package storage

import (
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// PersistentVolume are the defaults and rules of a PersistentVolume. What the volume is made of never changes; its class of attributes,
// size, affinity and claim do.
func PersistentVolume() *rules.Kind {
	spec := volumeSpec()
	return rules.For(rules.Spec[corev1.PersistentVolume]{
		Fields: []rules.Entry{
			rules.At("status.phase", rules.Default(corev1.VolumePending)),
			rules.At("spec", spec),
			rules.At("", rules.Check(checkMountOptions)),
			rules.At("spec", rules.Check(func(c *rules.Checker, v, old *corev1.PersistentVolumeSpec) {
				if old != nil { // The reference checks twice on update, so each cause is there twice.
					rules.In(c, spec, v, old)
				}
			})),
			rules.At("", rules.Check(checkVolumeUnchanged), rules.Check(warnVolume)),
		},
		Create: func(o *corev1.PersistentVolume) {
			now := metav1.Now().Rfc3339Copy()
			o.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: &now}
		},
		Parts: map[string]rules.Part[corev1.PersistentVolume]{"status": {Update: keepTransitionTime}},
	})
}

// volumeSpec are the rules of a volume that stands for itself.
func volumeSpec() *rules.Set {
	sources := volumeSources()
	entries := append(sourceDefaults(),
		rules.At("accessModes", rules.Required()),
		rules.At("accessModes", core.AccessModes()),
		rules.At("capacity", core.RoundedUp(), rules.Check(checkCapacity)),
		rules.At("persistentVolumeReclaimPolicy", rules.Default(corev1.PersistentVolumeReclaimRetain), rules.Enum(
			corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)),
		rules.At("nodeAffinity.required", rules.Required("must specify required node constraints"), core.NodeSelector()),
		rules.At("", rules.Check(sources.check), rules.Check(checkRecycledRoot)),
		rules.At("storageClassName", rules.Optional(), core.ClassName()),
		rules.At("volumeMode", rules.Default(corev1.PersistentVolumeFilesystem), core.VolumeMode()),
		rules.At("", rules.Check(checkAttributesClass)),
	)
	return rules.Of[corev1.PersistentVolumeSpec](entries...)
}

// inlineVolumeSpec are the rules of a volume that is part of an attachment: it only says what is attached.
func inlineVolumeSpec() *rules.Set {
	const notInline = "may not be specified in the context of inline volumes"
	sources := volumeSources()
	entries := append(sourceDefaults(),
		rules.At("claimRef", rules.Absent(notInline)),
		rules.At("capacity", core.RoundedUp(), rules.Absent(notInline)),
		rules.At("csi", rules.Required("has to be specified in the context of inline volumes")),
		rules.At("accessModes", rules.Required()),
		rules.At("accessModes", core.AccessModes()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.PersistentVolumeSpec) {
			if p := v.PersistentVolumeReclaimPolicy; p != "" && p != corev1.PersistentVolumeReclaimRetain {
				c.Add(field.Forbidden(c.At("persistentVolumeReclaimPolicy"), "may only be Retain in the context of inline volumes"))
			}
		})),
		rules.At("nodeAffinity", rules.Absent(notInline)),
		rules.At("", rules.Check(sources.check), rules.Check(checkRecycledRoot)),
		rules.At("storageClassName", rules.Absent(notInline)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.PersistentVolumeSpec) {
			if v.VolumeMode != nil && *v.VolumeMode != corev1.PersistentVolumeFilesystem {
				c.Add(field.Forbidden(c.At("volumeMode"), "may not specify volumeMode other than Filesystem in the context of inline volumes"))
			}
		})),
	)
	return rules.Of[corev1.PersistentVolumeSpec](entries...)
}

func checkCapacity(c *rules.Checker, v, _ *corev1.ResourceList) {
	if len(*v) == 0 {
		c.Add(field.Required(c.Path(), ""))
	}
	if _, ok := (*v)[corev1.ResourceStorage]; !ok || len(*v) > 1 {
		c.Add(field.NotSupported(c.Path(), rules.Shown(*v), []corev1.ResourceName{corev1.ResourceStorage}))
	}
	for _, name := range slices.Sorted(maps.Keys(*v)) {
		q, at := (*v)[name], c.Path().Key(string(name))
		if q.Value() < 0 {
			c.Add(field.Invalid(at, q.Value(), "must be a valid resource quantity"))
		}
		if q.Sign() <= 0 {
			c.Add(field.Invalid(at, q.String(), "must be greater than zero"))
		}
	}
}

// checkRecycledRoot keeps a volume that is the root of its node from being wiped.
func checkRecycledRoot(c *rules.Checker, v, _ *corev1.PersistentVolumeSpec) {
	if v.HostPath != nil && path.Clean(v.HostPath.Path) == "/" && v.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		c.Add(field.Forbidden(c.At("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"))
	}
}

func checkAttributesClass(c *rules.Checker, v, _ *corev1.PersistentVolumeSpec) {
	if v.VolumeAttributesClassName == nil {
		return
	}
	if *v.VolumeAttributesClassName == "" {
		c.Add(field.Required(c.At("volumeAttributesClassName"), "an empty string is disallowed"))
	} else {
		for _, m := range validation.NameIsDNSSubdomain(*v.VolumeAttributesClassName, false) {
			c.Add(field.Invalid(c.At("volumeAttributesClassName"), *v.VolumeAttributesClassName, m))
		}
	}
	if v.CSI == nil {
		c.Add(field.Required(c.At("csi"), "has to be specified when using volumeAttributesClassName"))
	}
}

// checkVolumeUnchanged keeps what a volume is made of, except that the secret for growing it may be named later.
func checkVolumeUnchanged(c *rules.Checker, v, old *corev1.PersistentVolume) {
	if old == nil {
		return
	}
	source := v.Spec.PersistentVolumeSource
	if csi := source.CSI; csi != nil && old.Spec.CSI != nil && old.Spec.CSI.ControllerExpandSecretRef == nil {
		withoutSecret := *csi
		withoutSecret.ControllerExpandSecretRef = nil
		source.CSI = &withoutSecret
	}
	if !apiequality.Semantic.DeepEqual(source, old.Spec.PersistentVolumeSource) {
		c.Add(field.Forbidden(field.NewPath("spec", "persistentvolumesource"),
			"spec.persistentvolumesource is immutable after creation\n"+rules.Diff(old.Spec.PersistentVolumeSource, source)))
	}
	if !apiequality.Semantic.DeepEqual(v.Spec.VolumeMode, old.Spec.VolumeMode) {
		c.Add(field.Invalid(field.NewPath("volumeMode"), v.Spec.VolumeMode, validation.FieldImmutableErrorMsg))
	}
	if was := old.Spec.NodeAffinity; was != nil && !apiequality.Semantic.DeepEqual(v.Spec.NodeAffinity, renamed(was, v.Spec.NodeAffinity)) {
		c.Add(field.Invalid(field.NewPath("nodeAffinity"), rules.Shown(v.Spec.NodeAffinity),
			validation.FieldImmutableErrorMsg+", except for updating from beta label to GA"))
	}
	if old.Spec.VolumeAttributesClassName != nil && v.Spec.VolumeAttributesClassName == nil {
		c.Add(field.Forbidden(field.NewPath("spec", "volumeAttributesClassName"), "update from non-nil value to nil is forbidden"))
	}
}

// keepTransitionTime keeps the time of the last change of phase, or sets it where the phase changes and the client does not say when.
func keepTransitionTime(o, old *corev1.PersistentVolume) {
	set, was := o.Status.LastPhaseTransitionTime, old.Status.LastPhaseTransitionTime
	switch samePhase := o.Status.Phase == old.Status.Phase; {
	case samePhase && set == nil:
		o.Status.LastPhaseTransitionTime = was
	case !samePhase && (set == nil || set.Equal(was)):
		now := metav1.Now().Rfc3339Copy()
		o.Status.LastPhaseTransitionTime = &now
	}
}
