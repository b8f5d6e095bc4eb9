package core

import (
	"reflect"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const claimKind = "PersistentVolumeClaim"

func checkDataSource(c *rules.Checker, v, _ *corev1.TypedLocalObjectReference) {
	checkSource(c, v.Name, v.Kind, v.APIGroup)
}

func checkDataSourceRef(c *rules.Checker, v, _ *corev1.TypedObjectReference) {
	checkSource(c, v.Name, v.Kind, v.APIGroup)
	if v.Namespace == nil || *v.Namespace == "" {
		return
	}
	for _, m := range validation.ValidateNamespaceName(*v.Namespace, false) {
		c.Add(field.Invalid(c.At("namespace"), *v.Namespace, m))
	}
}

// checkSource checks a reference to what a volume is filled from. Groups that were stored before they were checked may stay, whatever
// becomes of them.
func checkSource(c *rules.Checker, name, kind string, apiGroup *string) {
	if name == "" {
		c.Add(field.Required(c.At("name"), ""))
	}
	if kind == "" {
		c.Add(field.Required(c.At("kind"), ""))
	}
	group := ""
	if apiGroup != nil {
		group = *apiGroup
	}
	if group == "" && kind != claimKind {
		c.Add(field.Invalid(c.Path(), kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
	}
	if group == "" || hadSourceGroup(c) {
		return
	}
	for _, m := range utilvalidation.IsDNS1123Subdomain(group) {
		c.Add(field.Invalid(c.At("apiGroup"), group, m))
	}
}

func hadSourceGroup(c *rules.Checker) bool {
	_, old := rules.Within[corev1.PersistentVolumeClaimSpec](c)
	return old != nil && (old.DataSource != nil && old.DataSource.APIGroup != nil || old.DataSourceRef != nil && old.DataSourceRef.APIGroup != nil)
}

// checkDataSources asks that the old and the new way to name a source say the same, and that another namespace is only named the new way.
func checkDataSources(c *rules.Checker, v, _ *corev1.PersistentVolumeClaimSpec) {
	if v.DataSource == nil || v.DataSourceRef == nil {
		return
	}
	message := "must match dataSourceRef"
	switch {
	case v.DataSourceRef.Namespace != nil && *v.DataSourceRef.Namespace != "":
		message = "may not be specified when dataSourceRef.namespace is specified"
	case v.DataSource.Kind == v.DataSourceRef.Kind && v.DataSource.Name == v.DataSourceRef.Name &&
		reflect.DeepEqual(v.DataSource.APIGroup, v.DataSourceRef.APIGroup):
		return
	}
	// The value shown is the path itself, which says nothing; it is what clients get from the reference.
	c.Add(field.Invalid(c.Path(), c.At("dataSource"), message))
}

// TemplateMeta asks that the metadata of a template carries labels and annotations only.
func TemplateMeta() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *metav1.ObjectMeta) {
		if len(v.Annotations) > 0 {
			c.Add(validation.ValidateAnnotations(v.Annotations, c.At("annotations"))...)
		}
		if len(v.Labels) > 0 {
			c.Add(metav1validation.ValidateLabels(v.Labels, c.At("labels"))...)
		}
		s := reflect.ValueOf(v).Elem()
		for i := range s.NumField() {
			if name := s.Type().Field(i).Name; name != "Labels" && name != "Annotations" && !s.Field(i).IsZero() {
				first, size := utf8.DecodeRuneInString(name)
				c.Add(field.Forbidden(c.At(string(unicode.ToLower(first))+name[size:]), "cannot be set"))
			}
		}
	})
}
