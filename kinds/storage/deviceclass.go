package storage

import (
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// DeviceClassName returns what is wrong with the name of a DeviceClass. It is a subdomain, of which this kind counts the bytes. What
// begins a generated name is not looked at.
func DeviceClassName(name string, isPrefix bool) []string {
	if isPrefix {
		return nil
	}
	return content.IsDNS1123Subdomain(name)
}

// DeviceClass are the rules of a DeviceClass.
func DeviceClass() *rules.Kind {
	return rules.For(rules.Spec[resourcev1.DeviceClass]{Fields: []rules.Entry{
		rules.At("spec.selectors", selectors()),
		rules.At("spec.config", rules.Check(checkClassConfig)),
		rules.At("spec.extendedResourceName", rules.Check(func(c *rules.Checker, v, _ *string) {
			if !core.IsExtended(corev1.ResourceName(*v)) {
				c.Add(field.Invalid(c.Path(), *v, "must be a valid extended resource name"))
			}
		})),
	}})
}

// checkClassConfig spares the length of configuration that an update leaves as it is, since it was stored before lengths were bounded.
func checkClassConfig(c *rules.Checker, v, old *[]resourcev1.DeviceClassConfiguration) {
	longest := resourcev1.OpaqueParametersMaxLength
	if old != nil && apiequality.Semantic.DeepEqual(*v, *old) {
		longest = maxInt32
	}
	askEach(c, *v, resourcev1.DeviceConfigMaxSize, rules.Of[resourcev1.DeviceClassConfiguration](
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceClassConfiguration) {
			checkConfig(c, &v.DeviceConfiguration, longest)
		})),
	))
}
