package workload

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// ControllerRevision are the rules of apps/v1 ControllerRevisions.
func ControllerRevision() *rules.Kind {
	return rules.For(rules.Spec[appsv1.ControllerRevision]{Fields: []rules.Entry{
		rules.At("revision", rules.NonNegative()),
		rules.At("data", rules.Check(checkRevisionData), rules.Immutable()),
	}})
}

// checkRevisionData asks for an object. What is stored never changes, so only new data is looked at.
func checkRevisionData(c *rules.Checker, data, _ *runtime.RawExtension) {
	if c.Updating() {
		return
	}
	var v any
	err := json.Unmarshal(data.Raw, &v)
	switch _, object := v.(map[string]any); {
	case data.Raw == nil:
		c.Add(field.Required(c.Path(), "data is mandatory"))
	case err != nil:
		c.Add(field.Invalid(c.Path(), "<value omitted>", fmt.Sprintf("error parsing data: %v", err)))
	case v == nil:
		c.Add(field.Required(c.Path(), "data is mandatory"))
	case !object:
		c.Add(field.Required(c.Path(), "data must be a valid JSON object"))
	}
}
