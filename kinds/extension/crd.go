package extension

import (
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// CustomResourceDefinition are the rules of apiextensions.k8s.io/v1 CustomResourceDefinition.
//
// They are asked of the form without a version that the library converts to, since that is what clients read about in messages: what all
// versions have in common stands there once, above the versions, and names of fields differ. The conversion copies a few slices;
// definitions are written rarely.
//
// One thing is not checked: whether rules are CEL at all and what they may cost.
func CustomResourceDefinition() *rules.Kind {
	return rules.For(rules.Spec[apiextensionsv1.CustomResourceDefinition]{
		Fields: []rules.Entry{
			rules.At("", rules.Fill(apiextensionsv1.SetObjectDefaults_CustomResourceDefinition)),
			rules.At("", rules.Fill(dropEmptyItems)),
			rules.At("", rules.Check(checkDefinition)),
			rules.At("", rules.Check(warnFormats)),
		},
		Create: storeVersion,
		Update: func(o, _ *apiextensionsv1.CustomResourceDefinition) { storeVersion(o) },
		Parts: map[string]rules.Part[apiextensionsv1.CustomResourceDefinition]{"status": {Fields: []rules.Entry{
			rules.At("", rules.Check(func(c *rules.Checker, v, _ *apiextensionsv1.CustomResourceDefinition) {
				if crd := unversioned(c, v); crd != nil {
					c.Add(nameErrors(&crd.Status.AcceptedNames, field.NewPath("status", "acceptedNames"))...)
				}
			})),
		}}},
	})
}

// dropEmptyItems takes away items that are neither a schema nor a list of them, as the library decodes numbers and texts. They
// would be written as null.
func dropEmptyItems(o *apiextensionsv1.CustomResourceDefinition) {
	for i := range o.Spec.Versions {
		if s := o.Spec.Versions[i].Schema; s != nil {
			dropItems(s.OpenAPIV3Schema)
		}
	}
}

func dropItems(s *apiextensionsv1.JSONSchemaProps) {
	if s == nil {
		return
	}
	if s.Items != nil && s.Items.Schema == nil && len(s.Items.JSONSchemas) == 0 {
		s.Items = nil
	}
	if s.Items != nil {
		dropItems(s.Items.Schema)
	}
	if s.AdditionalProperties != nil {
		dropItems(s.AdditionalProperties.Schema)
	}
	for name, property := range s.Properties {
		dropItems(&property)
		s.Properties[name] = property
	}
}

// storeVersion notes the version that objects are stored in from now on. Earlier ones stay noted until somebody has migrated the objects.
func storeVersion(o *apiextensionsv1.CustomResourceDefinition) {
	for _, v := range o.Spec.Versions {
		if v.Storage {
			if !slices.Contains(o.Status.StoredVersions, v.Name) {
				o.Status.StoredVersions = append(slices.Clone(o.Status.StoredVersions), v.Name)
			}
			return
		}
	}
}

// unversioned converts a definition; nil means that it cannot be, which has been told. The result shares memory and is not to be changed.
func unversioned(c *rules.Checker, v *apiextensionsv1.CustomResourceDefinition) *apiextensions.CustomResourceDefinition {
	crd := new(apiextensions.CustomResourceDefinition)
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(v, crd, nil); err != nil {
		c.Add(field.Invalid(field.NewPath("spec"), "", err.Error()))
		return nil
	}
	return crd
}

func checkDefinition(c *rules.Checker, v, old *apiextensionsv1.CustomResourceDefinition) {
	crd := unversioned(c, v)
	if crd == nil {
		return
	}
	var was *apiextensions.CustomResourceDefinition
	if old != nil {
		if was = unversioned(c, old); was == nil {
			return
		}
	}
	spec := field.NewPath("spec")
	if was == nil {
		checkDefinitionName(c, crd, "generateName", crd.GenerateName)
		checkDefinitionName(c, crd, "name", crd.Name)
	}
	c.Add(definition{&crd.Spec, toleranceFor(was)}.errors(spec)...)
	if was != nil {
		c.Add(fixedErrors(crd, was, spec)...)
	}
	status := field.NewPath("status")
	c.Add(nameErrors(&crd.Status.AcceptedNames, status.Child("acceptedNames"))...)
	c.Add(storedErrors(crd, status.Child("storedVersions"))...)
	c.Add(approvalErrors(crd, was)...)
	if p := crd.Spec.PreserveUnknownFields; p != nil && *p && (was == nil || was.Spec.PreserveUnknownFields == nil || !*was.Spec.PreserveUnknownFields) {
		c.Add(field.Invalid(spec.Child("preserveUnknownFields"), p,
			"cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"))
	}
}

// checkDefinitionName asks a definition to be named after the resource it defines. A missing name is refused elsewhere.
func checkDefinitionName(c *rules.Checker, crd *apiextensions.CustomResourceDefinition, name, value string) {
	if value != "" && value != crd.Spec.Names.Plural+"."+crd.Spec.Group {
		c.Add(field.Invalid(field.NewPath("metadata", name), value, `must be spec.names.plural+"."+spec.group`))
	}
}

// fixedErrors refuses a change of what the names of stored objects are made of, and once the definition is in force of what clients know
// it by.
func fixedErrors(crd, was *apiextensions.CustomResourceDefinition, spec *field.Path) (errs field.ErrorList) {
	now, old := &crd.Spec, &was.Spec
	if apiextensions.IsCRDConditionTrue(was, apiextensions.Established) {
		errs = append(errs, validation.ValidateImmutableField(now.Scope, old.Scope, spec.Child("scope"))...)
		errs = append(errs, validation.ValidateImmutableField(now.Names.Kind, old.Names.Kind, spec.Child("names", "kind"))...)
	}
	errs = append(errs, validation.ValidateImmutableField(now.Group, old.Group, spec.Child("group"))...)
	return append(errs, validation.ValidateImmutableField(now.Names.Plural, old.Names.Plural, spec.Child("names", "plural"))...)
}

// storedErrors asks that every version in which objects may be stored be there.
func storedErrors(crd *apiextensions.CustomResourceDefinition, at *field.Path) (errs field.ErrorList) {
	stored := crd.Status.StoredVersions
	if len(stored) == 0 {
		return field.ErrorList{field.Invalid(at, stored, "must have at least one stored version")}
	}
	seen := map[string]bool{}
	for _, v := range crd.Spec.Versions {
		// A version that stands there twice is not found a second time by the reference.
		if v.Storage && (seen[v.Name] || !slices.Contains(stored, v.Name)) {
			errs = append(errs, field.Invalid(at, stored, "must have the storage version "+v.Name))
		}
		seen[v.Name] = true
	}
	for i, name := range stored {
		if !seen[name] {
			errs = append(errs, field.Invalid(at.Index(i), name, "missing from spec.versions; "+name+" was previously a storage version, "+
				"and must remain in spec.versions until a storage migration ensures no data remains persisted in "+name+
				" and removes "+name+" from status.storedVersions"))
		}
	}
	return errs
}

// approvalErrors asks definitions in the groups of the Kubernetes project for the approval of their API, where that has changed.
func approvalErrors(crd, was *apiextensions.CustomResourceDefinition) field.ErrorList {
	if !apihelpers.IsProtectedCommunityGroup(crd.Spec.Group) {
		return nil
	}
	state, reason := apihelpers.GetAPIApprovalState(crd.Annotations)
	if was != nil {
		if before, _ := apihelpers.GetAPIApprovalState(was.Annotations); before == state {
			return nil
		}
	}
	const key = apiextensionsv1.KubeAPIApprovedAnnotation
	at := field.NewPath("metadata", "annotations").Key(key)
	switch state {
	case apihelpers.APIApproved, apihelpers.APIApprovalBypassed:
		return nil
	case apihelpers.APIApprovalMissing:
		return field.ErrorList{field.Required(at, reason)}
	}
	return field.ErrorList{field.Invalid(at, crd.Annotations[key], reason)}
}
