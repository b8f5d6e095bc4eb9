package extension

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// APIServiceName says what is wrong with the name of an APIService, apart from what it names: the rules compare that.
func APIServiceName(name string, _ bool) []string { return content.IsPathSegmentName(name) }

// APIService are the rules of apiregistration.k8s.io/v1 APIService.
func APIService() *rules.Kind {
	return rules.For(rules.Spec[apiregistrationv1.APIService]{
		Fields: []rules.Entry{
			rules.At("spec.service.port", rules.Default(443)),
			rules.At("", rules.Check(checkAPIServiceName)),
			rules.At("spec", rules.Check(checkAPIVersion)),
			rules.At("spec", rules.Check(checkAPIBackend)),
		},
		Create: markLocal,
		Parts: map[string]rules.Part[apiregistrationv1.APIService]{"status": {
			Update: func(o, old *apiregistrationv1.APIService) {
				o.Labels, o.Annotations = old.Labels, old.Annotations
				o.Finalizers, o.OwnerReferences = old.Finalizers, old.OwnerReferences
			},
			Fields: []rules.Entry{rules.At("status.conditions", rules.Each(rules.Of[apiregistrationv1.APIServiceCondition](
				rules.At("status", rules.Enum(apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionFalse, apiregistrationv1.ConditionUnknown)),
			)))},
		}},
	})
}

// markLocal says of an API that the server itself serves that it is there.
func markLocal(o *apiregistrationv1.APIService) {
	if o.Spec.Service == nil {
		o.Status.Conditions = []apiregistrationv1.APIServiceCondition{{
			Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue, LastTransitionTime: metav1.Now(),
			Reason: "Local", Message: "Local APIServices are always available",
		}}
	}
}

func checkAPIServiceName(c *rules.Checker, v, _ *apiregistrationv1.APIService) {
	want := v.Spec.Version + "." + v.Spec.Group
	check := func(name, value string) {
		if value != "" && value != want && len(content.IsPathSegmentName(value)) == 0 {
			c.Add(field.Invalid(c.At("metadata", name), value, fmt.Sprintf("must be `spec.version+\".\"+spec.group`: %q", want)))
		}
	}
	check("generateName", v.GenerateName)
	check("name", v.Name)
}

func checkAPIVersion(c *rules.Checker, v, _ *apiregistrationv1.APIServiceSpec) {
	if v.Group == "" && v.Version != "v1" {
		c.Add(field.Required(c.At("group"), "only v1 may have an empty group and it better be legacy kube"))
	}
	if v.Group != "" {
		for _, msg := range utilvalidation.IsDNS1123Subdomain(v.Group) {
			c.Add(field.Invalid(c.At("group"), v.Group, msg))
		}
	}
	for _, msg := range utilvalidation.IsDNS1035Label(v.Version) {
		c.Add(field.Invalid(c.At("version"), v.Version, msg))
	}
	if p := v.GroupPriorityMinimum; p <= 0 || p > 20000 {
		c.Add(field.Invalid(c.At("groupPriorityMinimum"), p, "must be positive and less than 20000"))
	}
	if p := v.VersionPriority; p <= 0 || p > 1000 {
		c.Add(field.Invalid(c.At("versionPriority"), p, "must be positive and less than 1000"))
	}
}

// checkAPIBackend checks where the API is served: here, or by a Service.
func checkAPIBackend(c *rules.Checker, v, _ *apiregistrationv1.APIServiceSpec) {
	insecure := func(detail string) {
		c.Add(field.Invalid(c.At("insecureSkipTLSVerify"), v.InsecureSkipTLSVerify, detail))
	}
	if v.Service == nil {
		if n := len(v.CABundle); n > 0 {
			c.Add(field.Invalid(c.At("caBundle"), fmt.Sprintf("%d bytes", n), "local APIServices may not have a caBundle"))
		}
		if v.InsecureSkipTLSVerify {
			insecure("local APIServices may not have insecureSkipTLSVerify")
		}
		return
	}
	if v.Service.Namespace == "" {
		c.Add(field.Required(c.At("service", "namespace"), ""))
	}
	if v.Service.Name == "" {
		c.Add(field.Required(c.At("service", "name"), ""))
	}
	port := int32(0)
	if v.Service.Port != nil {
		port = *v.Service.Port
	}
	if messages := utilvalidation.IsValidPortNum(int(port)); len(messages) > 0 {
		c.Add(field.Invalid(c.At("service", "port"), port, "port is not valid: "+strings.Join(messages, ", ")))
	}
	if v.InsecureSkipTLSVerify && len(v.CABundle) > 0 {
		insecure("may not be true if caBundle is present")
	}
}
