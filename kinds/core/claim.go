package core

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// ClaimSpec are the defaults and rules of what a claim asks for, in a PersistentVolumeClaim as well as in templates of claims. That it may
// not change is said by the kinds.
func ClaimSpec() *rules.Set { return claimSpec() }

// ClaimTemplate are the defaults and rules of the claim of an ephemeral volume, which may carry labels and annotations and no other metadata.
func ClaimTemplate() *rules.Set { return claimTemplate() }

var claimSpec = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.PersistentVolumeClaimSpec](
		rules.At("accessModes", rules.Required("at least 1 access mode is required")),
		rules.At("selector", LabelSelector()),
		rules.At("accessModes", AccessModes()),
		rules.At("resources.limits", RoundedUp()),
		rules.At("resources.requests", RoundedUp()),
		rules.At("resources", rules.Check(checkClaimSize)),
		rules.At("storageClassName", classNameIfAny()),
		rules.At("volumeMode", rules.Default(corev1.PersistentVolumeFilesystem), VolumeMode()),
		rules.At("dataSource", rules.Check(checkDataSource)),
		rules.At("dataSourceRef", rules.Check(checkDataSourceRef)),
		rules.At("", rules.Check(checkDataSources)),
		rules.At("volumeAttributesClassName", classNameIfAny()),
	)
})

var claimTemplate = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.PersistentVolumeClaimTemplate](
		rules.At("metadata", TemplateMeta()),
		rules.At("spec", ClaimSpec()),
	)
})

// ClassName asks for the name of a class, such as a StorageClass.
func ClassName() rules.Rule {
	return rules.Format(func(s string) []string { return validation.NameIsDNSSubdomain(s, false) })
}

// classNameIfAny is [ClassName] for a pointer, whose empty string says that there is to be no class.
func classNameIfAny() rules.Rule {
	return rules.If(func(s *string) bool { return *s != "" }, ClassName())
}

// VolumeMode asks for one of the ways a volume is used.
func VolumeMode() rules.Rule {
	return rules.Enum(corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
}

// AccessModes asks for known access modes, of which one excludes all others. A list without any is for other rules to refuse.
func AccessModes() rules.Rule { return rules.Check(checkAccessModes) }

func checkAccessModes(c *rules.Checker, v, _ *[]corev1.PersistentVolumeAccessMode) {
	alone, shared := false, false
	for _, mode := range *v {
		switch mode {
		case corev1.ReadWriteOncePod:
			alone = true
		case corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany:
			shared = true
		default:
			c.Add(field.NotSupported(c.Path(), mode, []corev1.PersistentVolumeAccessMode{
				corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod,
			}))
		}
	}
	if alone && shared {
		c.Add(field.Forbidden(c.Path(), "may not use ReadWriteOncePod with other access modes"))
	}
}

// checkClaimSize asks for a size. Its path leaves out that it is a request, as the reference's does.
func checkClaimSize(c *rules.Checker, v, _ *corev1.VolumeResourceRequirements) {
	at := func() *field.Path { return c.Path().Key(string(corev1.ResourceStorage)) }
	size, ok := v.Requests[corev1.ResourceStorage]
	switch {
	case !ok:
		c.Add(field.Required(at(), ""))
	case size.Cmp(resource.Quantity{}) <= 0:
		c.Add(field.Invalid(at(), size.String(), "must be greater than zero"))
	}
}
