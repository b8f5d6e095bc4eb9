package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
)

// containerResource returns what is wrong with the name of something that a container can ask for.
func containerResource(path *field.Path, name corev1.ResourceName) field.ErrorList {
	errs := core.ResourceName(path, name)
	switch {
	case name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || core.IsHugePages(name):
	case !hasDomain(string(name)):
		errs = append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
	case !core.IsNative(name) && !core.IsExtended(name):
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// quotaResource returns what is wrong with the name of something that a quota can bound.
func quotaResource(path *field.Path, name corev1.ResourceName) field.ErrorList {
	errs := core.ResourceName(path, name)
	if !hasDomain(string(name)) && !isQuotaResource(name) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource for quota"))
	}
	return errs
}

// isQuotaResource tells the names that quotas know: all that have a meaning without a domain, except that of the storage of one volume.
func isQuotaResource(name corev1.ResourceName) bool {
	return name != corev1.ResourceStorage && !hasDomain(string(name)) && len(core.ResourceName(nil, name)) == 0
}
