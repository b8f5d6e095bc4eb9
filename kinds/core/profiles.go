package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func seccompProfile() *rules.Set {
	return rules.Of[corev1.SeccompProfile](
		rules.At("type", rules.Required("type is required when seccompProfile is set"),
			rules.Enum(corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)),
		rules.At("", rules.Check(checkSeccompFile)),
	)
}

// checkSeccompFile asks for a file of the node exactly where the profile is one.
func checkSeccompFile(c *rules.Checker, v, _ *corev1.SeccompProfile) {
	local := v.Type == corev1.SeccompProfileTypeLocalhost
	switch {
	case local && v.LocalhostProfile == nil:
		c.Add(field.Required(c.At("localhostProfile"), "must be set when seccomp type is Localhost"))
	case local:
		for _, m := range notDescending(*v.LocalhostProfile) {
			c.Add(field.Invalid(c.At("localhostProfile"), *v.LocalhostProfile, m))
		}
	case v.LocalhostProfile != nil:
		c.Add(field.Invalid(c.At("localhostProfile"), rules.Shown(v), "can only be set when seccomp type is Localhost"))
	}
}

// maxProfilePath is the longest path that Linux takes, without the byte that ends it.
const maxProfilePath = 4095

func appArmorProfile() *rules.Set {
	return rules.Of[corev1.AppArmorProfile](rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.AppArmorProfile) {
		if len(appArmorErrors(nil, v)) > 0 {
			c.Add(appArmorErrors(c.Path(), v)...)
		}
	})))
}

func appArmorErrors(p *field.Path, v *corev1.AppArmorProfile) (errs field.ErrorList) {
	if p == nil {
		p = &field.Path{}
	}
	switch v.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		return localAppArmorErrors(p.Child("localhostProfile"), v.LocalhostProfile)
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if v.LocalhostProfile != nil {
			errs = append(errs, field.Invalid(p.Child("localhostProfile"), *v.LocalhostProfile, "can only be set when AppArmor type is Localhost"))
		}
	case "":
		errs = append(errs, field.Required(p.Child("type"), "type is required when appArmorProfile is set"))
	default:
		errs = append(errs, field.NotSupported(p.Child("type"), v.Type, []corev1.AppArmorProfileType{
			corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined,
		}))
	}
	return errs
}

func localAppArmorErrors(p *field.Path, profile *string) (errs field.ErrorList) {
	const missing = "must be set when AppArmor type is Localhost"
	if profile == nil {
		return field.ErrorList{field.Required(p, missing)}
	}
	switch trimmed := strings.TrimSpace(*profile); {
	case trimmed != *profile:
		errs = append(errs, field.Invalid(p, *profile, "must not be padded with whitespace"))
	case trimmed == "":
		errs = append(errs, field.Required(p, missing))
	}
	if len(*profile) > maxProfilePath {
		errs = append(errs, field.TooLong(p, "", maxProfilePath))
	}
	return errs
}
