package main

import (
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/common"
)

var (
	listParameters   = optionParameters(metav1.ListOptions{})
	createParameters = optionParameters(metav1.CreateOptions{})
	updateParameters = optionParameters(metav1.UpdateOptions{})
	patchParameters  = optionParameters(metav1.PatchOptions{})
	deleteParameters = optionParameters(metav1.DeleteOptions{})

	// deleteCollectionParameters select like a list, but a deletion cannot be watched.
	deleteCollectionParameters = append(slices.DeleteFunc(slices.Clone(listParameters), func(p common.Parameter) bool {
		return p.Name() == "watch" || p.Name() == "allowWatchBookmarks"
	}), deleteParameters...)

	pretty = parameter{
		name: "pretty", dataType: "string", kind: common.QueryParameterKind,
		description: "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or " +
			"command-line HTTP tool (curl and wget).",
	}
	objectNamespace = parameter{
		name: "namespace", dataType: "string", kind: common.PathParameterKind, required: true,
		description: "object name and auth scope, such as for teams and projects",
	}
	requiredBody = parameter{name: "body", kind: common.BodyParameterKind, required: true}
	optionalBody = parameter{name: "body", kind: common.BodyParameterKind}
)

// objectName is the last part of the path of an object.
func objectName(kind string) parameter {
	return parameter{name: "name", dataType: "string", kind: common.PathParameterKind, required: true, description: "name of the " + kind}
}

// optionParameters makes a query parameter of every plain field of an options type.
func optionParameters(options interface{ SwaggerDoc() map[string]string }) []common.Parameter {
	var parameters []common.Parameter
	doc := options.SwaggerDoc()
	for _, f := range reflect.VisibleFields(reflect.TypeOf(options)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		dataType := queryType(f.Type)
		if name == "" || len(f.Index) > 1 || dataType == "" {
			continue
		}
		parameters = append(parameters, parameter{
			name: name, description: doc[name], dataType: dataType, kind: common.QueryParameterKind,
		})
	}
	return parameters
}

// queryType is the type of a query parameter as OpenAPI writes it, or empty for what only a body can hold.
func queryType(t reflect.Type) string {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int64, reflect.Int32:
		return "integer"
	default:
		return ""
	}
}
