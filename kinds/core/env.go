package core

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func envVar() *rules.Set {
	return rules.Of[corev1.EnvVar](
		rules.At("name", rules.Required(), rules.Format(utilvalidation.IsRelaxedEnvVarName)),
		rules.At("valueFrom.fieldRef", fieldRef("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
			"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")),
		rules.At("valueFrom.resourceFieldRef", rules.Check(checkResourceField)),
		rules.At("valueFrom.configMapKeyRef.name", subdomain()),
		rules.At("valueFrom.configMapKeyRef.key", rules.Required(), rules.Format(utilvalidation.IsConfigMapKey)),
		rules.At("valueFrom.secretKeyRef.name", subdomain()),
		rules.At("valueFrom.secretKeyRef.key", rules.Required(), rules.Format(utilvalidation.IsConfigMapKey)),
		rules.At("valueFrom.fileKeyRef.key", rules.Required(), rules.Format(utilvalidation.IsRelaxedEnvVarName)),
		rules.At("valueFrom.fileKeyRef.volumeName", rules.Required(), label()),
		rules.At("valueFrom.fileKeyRef.path", rules.Required(), noBacksteps()),
		rules.At("valueFrom.fileKeyRef.optional", rules.Default(false)),
		rules.At("", rules.Check(checkEnvSource)),
	)
}

// checkEnvSource asks for one source of a value that is taken from elsewhere.
func checkEnvSource(c *rules.Checker, v, _ *corev1.EnvVar) {
	from := v.ValueFrom
	if from == nil {
		return
	}
	n := count(from.FieldRef != nil, from.ResourceFieldRef != nil, from.ConfigMapKeyRef != nil, from.SecretKeyRef != nil, from.FileKeyRef != nil)
	switch {
	case n == 0:
		c.Add(field.Invalid(c.At("valueFrom"), "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		c.Add(field.Invalid(c.At("valueFrom"), "", "may not be specified when `value` is not empty"))
	case n > 1:
		c.Add(field.Invalid(c.At("valueFrom"), "", "may not have more than one field specified at a time"))
	}
}

func count(conditions ...bool) (n int) {
	for _, holds := range conditions {
		if holds {
			n++
		}
	}
	return n
}

var envFrom = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.EnvFromSource](
		rules.At("prefix", rules.Optional(), rules.Format(utilvalidation.IsRelaxedEnvVarName)),
		rules.At("configMapRef.name", rules.Required(), subdomainPrefix()),
		rules.At("secretRef.name", rules.Required(), subdomainPrefix()),
	)
})

// checkEnvFrom asks for one source in each element. Of an element with another number the reference speaks at the path of the list.
func checkEnvFrom(c *rules.Checker, v, _ *[]corev1.EnvFromSource) {
	for i := range *v {
		from := &(*v)[i]
		rules.InIndex(c, envFrom(), from, nil, i)
		switch count(from.ConfigMapRef != nil, from.SecretRef != nil) {
		case 0:
			c.Add(field.Invalid(c.Path(), "", "must specify one of: `configMapRef` or `secretRef`"))
		case 2:
			c.Add(field.Invalid(c.Path(), "", "may not have more than one field specified at a time"))
		}
	}
}

// fieldRef are the rules of a reference to a field of the pod itself. The paths are those that may be named where it stands, sorted.
func fieldRef(paths ...string) *rules.Set {
	return rules.Of[corev1.ObjectFieldSelector](
		rules.At("apiVersion", rules.Default("v1")),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.ObjectFieldSelector) { checkFieldRef(c, v, paths) })),
	)
}

func checkFieldRef(c *rules.Checker, v *corev1.ObjectFieldSelector, paths []string) {
	switch {
	case v.APIVersion == "":
		c.Add(field.Required(c.At("apiVersion"), ""))
		return
	case v.FieldPath == "":
		c.Add(field.Required(c.At("fieldPath"), ""))
		return
	case v.APIVersion != "v1":
		c.Add(badFieldPath(c, v, "unsupported pod version: "+v.APIVersion))
		return
	}
	path, key, ok := subscript(v.FieldPath)
	switch {
	case ok:
		checkSubscript(c, v, path, key)
	case path == "spec.host": // an old name
		path = "spec.nodeName"
		fallthrough
	case slices.Contains(selectable(), path):
		if !slices.Contains(paths, path) {
			c.Add(field.NotSupported(c.At("fieldPath"), path, paths))
		}
	default:
		c.Add(badFieldPath(c, v, "field label not supported: "+path))
	}
}

func badFieldPath(c *rules.Checker, v *corev1.ObjectFieldSelector, why string) *field.Error {
	return field.Invalid(c.At("fieldPath"), v.FieldPath, "error converting fieldPath: "+why)
}

// selectable are the fields of a pod that have a name for references.
func selectable() []string {
	return []string{
		"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.restartPolicy",
		"spec.serviceAccountName", "spec.schedulerName", "status.phase", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
}

func checkSubscript(c *rules.Checker, v *corev1.ObjectFieldSelector, path, key string) {
	switch path {
	case "metadata.annotations":
		key = strings.ToLower(key)
	case "metadata.labels":
	default:
		c.Add(badFieldPath(c, v, "field label does not support subscript: "+v.FieldPath))
		return
	}
	for _, m := range utilvalidation.IsQualifiedName(key) {
		c.Add(field.Invalid(c.Path(), key, m))
	}
}

// subscript splits "path['key']".
func subscript(s string) (path, key string, ok bool) {
	inner, ok := strings.CutSuffix(s, "']")
	if !ok {
		return s, "", false
	}
	path, key, ok = strings.Cut(inner, "['")
	if !ok || path == "" {
		return s, "", false
	}
	return path, key, true
}

// checkResourceField is for a reference to a resource of the container it stands in.
func checkResourceField(c *rules.Checker, v, _ *corev1.ResourceFieldSelector) {
	checkFieldOfResource(c, v, false)
}

// checkVolumeResourceField is for one that stands outside of containers and has to name one.
func checkVolumeResourceField(c *rules.Checker, v, _ *corev1.ResourceFieldSelector) {
	checkFieldOfResource(c, v, true)
}

func checkFieldOfResource(c *rules.Checker, v *corev1.ResourceFieldSelector, named bool) {
	known := []string{
		"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory",
	}
	pages := strings.HasPrefix(v.Resource, "limits.hugepages-") || strings.HasPrefix(v.Resource, "requests.hugepages-")
	switch {
	case named && v.ContainerName == "":
		c.Add(field.Required(c.At("containerName"), ""))
	case v.Resource == "":
		c.Add(field.Required(c.At("resource"), ""))
	case !pages && !slices.Contains(known, v.Resource):
		c.Add(field.NotSupported(c.At("resource"), v.Resource, known))
	}
	if v.Divisor.IsZero() {
		return
	}
	_, name, _ := strings.Cut(v.Resource, ".")
	units, what := []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}, ""
	switch {
	case pages:
		what = "hugepages"
	case !slices.Contains(known, v.Resource):
		return
	case name == "cpu":
		if d := v.Divisor.String(); d != "1m" && d != "1" {
			c.Add(field.Invalid(c.At("divisor"), v.Resource, "only divisor's values 1m and 1 are supported with the cpu resource"))
		}
		return
	case name == "memory":
		what = "memory"
	default:
		what = "local ephemeral storage"
	}
	if !slices.Contains(units, v.Divisor.String()) {
		c.Add(field.Invalid(c.At("divisor"), v.Resource,
			fmt.Sprintf("only divisor's values %s are supported with the %s resource", strings.Join(units, ", "), what)))
	}
}
