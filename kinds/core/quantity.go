package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/internal/quantity"
	"github.com/gatehouse/gatehouse/rules"
)

// RoundedUp rounds the quantities of a resource list up to thousandths, which is what the API promises to keep.
func RoundedUp() rules.Rule { return rules.Fill(roundUp) }

func roundUp(list *corev1.ResourceList) {
	for name, q := range *list {
		q.RoundUp(resource.Milli)
		(*list)[name] = q
	}
}

// IsNative reports whether the name is one that Kubernetes itself gives meaning to.
func IsNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// IsHugePages reports whether the name stands for memory in pages of a size.
func IsHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// IsExtended reports whether the name stands for something countable that a node offers, of which Kubernetes knows no more than that.
func IsExtended(name corev1.ResourceName) bool {
	if IsNative(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(utilvalidation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// IsCounted reports whether there are only whole numbers of it.
func IsCounted(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return IsExtended(name)
}

// mayOvercommit reports whether more of it may be promised than there is, so that a limit may exceed a request.
func mayOvercommit(name corev1.ResourceName) bool { return IsNative(name) && !IsHugePages(name) }

// ResourceName returns what is wrong with the name of a resource anywhere: it is neither qualified nor one that is known.
func ResourceName(p *field.Path, name corev1.ResourceName) (errs field.ErrorList) {
	for _, m := range utilvalidation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(p, name, m))
	}
	if len(errs) == 0 && !strings.Contains(string(name), "/") && !isStandard(name) {
		errs = append(errs, field.Invalid(p, name, "must be a standard resource type or fully qualified"))
	}
	return errs
}

func isStandard(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
		corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceStorage, corev1.ResourceRequestsStorage,
		corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return IsHugePages(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

// containerResource returns what is wrong with the name of something that a container asks for.
func containerResource(p *field.Path, name corev1.ResourceName) field.ErrorList {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return nil
	}
	errs := ResourceName(p, name)
	switch {
	case !strings.Contains(string(name), "/"):
		if !IsHugePages(name) {
			errs = append(errs, field.Invalid(p, name, "must be a standard resource for containers"))
		}
	case !IsNative(name) && !IsExtended(name):
		errs = append(errs, field.Invalid(p, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// podResource returns what is wrong with the name of something that the containers of a pod share.
func podResource(p *field.Path, name corev1.ResourceName) field.ErrorList {
	if isPodResource(name) {
		return ResourceName(p, name)
	}
	if errs := ResourceName(p, name); len(errs) > 0 {
		return errs
	}
	return field.ErrorList{field.NotSupported(p, name,
		[]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceHugePagesPrefix, corev1.ResourceMemory})}
}

func isPodResource(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || IsHugePages(name)
}

// Quantity returns what is wrong with an amount of a resource: it is negative, or broken where only whole numbers exist.
func Quantity(p *field.Path, name corev1.ResourceName, q resource.Quantity) (errs field.ErrorList) {
	if q.Sign() < 0 {
		errs = append(errs, field.Invalid(p, q.String(), content.MinError(0)))
	}
	if q.MilliValue()%1000 != 0 && IsCounted(name) {
		errs = append(errs, field.Invalid(p, q, "must be an integer"))
	}
	return errs
}

// fillsPages reports whether memory in huge pages is a whole number of them.
func fillsPages(name corev1.ResourceName, q resource.Quantity) bool {
	size := strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix)
	if quantity.Check(size) != nil {
		return false
	}
	page, err := resource.ParseQuantity(size)
	if err != nil || page.Sign() <= 0 || page.MilliValue()%1000 != 0 || page.Value() <= 0 { // A size beyond int64 has the value 0.
		return false
	}
	return q.Value()%page.Value() == 0
}

func hasUnevenHugePages(spec *corev1.PodSpec) bool {
	uneven := func(list corev1.ResourceList) bool {
		for name, q := range list {
			if IsHugePages(name) && !fillsPages(name, q) {
				return true
			}
		}
		return false
	}
	return uneven(spec.Overhead) || anyContainer(spec, func(ctr *corev1.Container) bool {
		return uneven(ctr.Resources.Limits) || uneven(ctr.Resources.Requests)
	})
}

func pagesMessage(name corev1.ResourceName, q resource.Quantity) string {
	return fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name)
}
