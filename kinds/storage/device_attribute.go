package storage

import (
	"regexp"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// versionForm is that of semantic versions: three numbers, what comes before a release after a hyphen, and of which build it is after a plus.
var versionForm = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
	`(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// checkAttribute asks for one value, or one list of values.
func checkAttribute(v *resourcev1.DeviceAttribute, p *field.Path) (errs field.ErrorList) {
	if v.StringValue != nil {
		errs = append(errs, attributeText(*v.StringValue, p.Child("string"))...)
	}
	if v.VersionValue != nil {
		errs = append(errs, attributeVersion(*v.VersionValue, p.Child("version"))...)
	}
	errs = append(errs, attributeLists(v, p)...)
	set := 0
	for _, is := range []bool{
		v.BoolValue != nil, v.IntValue != nil, v.StringValue != nil, v.VersionValue != nil,
		v.BoolValues != nil, v.IntValues != nil, v.StringValues != nil, v.VersionValues != nil,
	} {
		if is {
			set++
		}
	}
	switch set {
	case 0:
		errs = append(errs, field.Invalid(p, "", "exactly one value must be specified"))
	case 1:
	default:
		errs = append(errs, field.Invalid(p, rules.Shown(*v), "exactly one value must be specified"))
	}
	return errs
}

func attributeLists(v *resourcev1.DeviceAttribute, p *field.Path) (errs field.ErrorList) {
	const nothing = "must not be empty if specified"
	if v.BoolValues != nil && len(v.BoolValues) == 0 {
		errs = append(errs, field.Invalid(p.Child("bools"), v.BoolValues, nothing))
	}
	if v.IntValues != nil && len(v.IntValues) == 0 {
		errs = append(errs, field.Invalid(p.Child("ints"), v.IntValues, nothing))
	}
	if v.StringValues != nil && len(v.StringValues) == 0 {
		errs = append(errs, field.Invalid(p.Child("strings"), v.StringValues, nothing))
	}
	for i, s := range v.StringValues {
		errs = append(errs, attributeText(s, p.Child("strings").Index(i))...)
	}
	if v.VersionValues != nil && len(v.VersionValues) == 0 {
		errs = append(errs, field.Invalid(p.Child("versions"), v.VersionValues, nothing))
	}
	for i, s := range v.VersionValues {
		errs = append(errs, attributeVersion(s, p.Child("versions").Index(i))...)
	}
	return errs
}

func attributeText(s string, p *field.Path) field.ErrorList {
	if len(s) > resourcev1.DeviceAttributeMaxValueLength {
		return field.ErrorList{field.TooLong(p, "", resourcev1.DeviceAttributeMaxValueLength)}
	}
	return nil
}

func attributeVersion(s string, p *field.Path) (errs field.ErrorList) {
	if !versionForm.MatchString(s) {
		errs = append(errs, field.Invalid(p, s, "must be a string compatible with semver.org spec 2.0.0"))
	}
	return append(errs, attributeText(s, p)...)
}
