package storage

import (
	"errors"
	"fmt"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/internal/cel"
	"github.com/gatehouse/gatehouse/rules"
)

// claimSpec are the defaults and rules of what a claim asks for.
func claimSpec() *rules.Set {
	return rules.Of[resourcev1.ResourceClaimSpec](
		rules.At("devices.requests", rules.Fill(fillRequests), boundedSet(resourcev1.DeviceRequestsMaxSize,
			func(r *resourcev1.DeviceRequest) string { return r.Name }, deviceRequest())),
		rules.At("devices.constraints", bounded[resourcev1.DeviceConstraint](resourcev1.DeviceConstraintsMaxSize, deviceConstraint())),
		rules.At("devices.config", bounded[resourcev1.DeviceClaimConfiguration](resourcev1.DeviceConfigMaxSize,
			rules.Of[resourcev1.DeviceClaimConfiguration](
				rules.At("requests", requestRefs()),
				rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceClaimConfiguration) {
					checkConfig(c, &v.DeviceConfiguration, resourcev1.OpaqueParametersMaxLength)
				})),
			))),
	)
}

func fillRequests(requests *[]resourcev1.DeviceRequest) {
	for i := range *requests {
		r := &(*requests)[i]
		if e := r.Exactly; e != nil {
			fillCount(&e.AllocationMode, &e.Count)
			fillTolerations(e.Tolerations)
		}
		for j := range r.FirstAvailable {
			sub := &r.FirstAvailable[j]
			fillCount(&sub.AllocationMode, &sub.Count)
			fillTolerations(sub.Tolerations)
		}
	}
}

func fillCount(mode *resourcev1.DeviceAllocationMode, count *int64) {
	if *mode == "" {
		*mode = resourcev1.DeviceAllocationModeExactCount
	}
	if *mode == resourcev1.DeviceAllocationModeExactCount && *count == 0 {
		*count = 1
	}
}

func fillTolerations(list []resourcev1.DeviceToleration) {
	for i := range list {
		if list[i].Operator == "" {
			list[i].Operator = resourcev1.DeviceTolerationOpEqual
		}
	}
}

func deviceRequest() *rules.Set {
	const one = "exactly one of `exactly` or `firstAvailable` is required"
	exactly := rules.Of[resourcev1.ExactDeviceRequest](
		rules.At("deviceClassName", className()...),
		rules.At("selectors", selectors()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.ExactDeviceRequest) {
			checkCount(c, v.AllocationMode, v.Count)
		})),
		rules.At("tolerations", bounded[resourcev1.DeviceToleration](unbounded, deviceToleration())),
	)
	available := rules.Of[resourcev1.DeviceSubRequest](
		rules.At("name", rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("deviceClassName", className()...),
		rules.At("selectors", selectors()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceSubRequest) {
			checkCount(c, v.AllocationMode, v.Count)
		})),
		rules.At("tolerations", bounded[resourcev1.DeviceToleration](unbounded, deviceToleration())),
	)
	either := rules.Of[resourcev1.DeviceRequest](
		rules.At("firstAvailable", boundedSet(resourcev1.FirstAvailableDeviceRequestMaxSize,
			func(r *resourcev1.DeviceSubRequest) string { return r.Name }, available)),
		rules.At("exactly", exactly),
	)
	return rules.Of[resourcev1.DeviceRequest](
		rules.At("name", rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceRequest) {
			switch first := len(v.FirstAvailable) > 0; {
			case !first && v.Exactly == nil:
				c.Add(field.Required(c.Path(), one))
			case first && v.Exactly != nil:
				c.Add(field.Invalid(c.Path(), nil, one+", but multiple fields are set"))
			default:
				rules.In(c, either, v, nil)
			}
		})),
	)
}

func className() []rules.Rule {
	return []rules.Rule{rules.Required(), rules.Format(utilvalidation.IsDNS1123Subdomain)}
}

// checkCount asks that a number is given where one is wanted, and only there.
func checkCount(c *rules.Checker, mode resourcev1.DeviceAllocationMode, count int64) {
	switch mode {
	case resourcev1.DeviceAllocationModeAll:
		if count != 0 {
			c.Add(field.Invalid(c.At("count"), count, fmt.Sprintf("must not be specified when allocationMode is '%s'", mode)))
		}
	case resourcev1.DeviceAllocationModeExactCount:
		if count <= 0 {
			c.Add(field.Invalid(c.At("count"), count, "must be greater than zero"))
		}
	default:
		c.Add(field.NotSupported(c.At("allocationMode"), mode,
			[]resourcev1.DeviceAllocationMode{resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount}))
	}
}

// selectors bounds and compiles the expressions that select devices.
func selectors() rules.Rule {
	devices := cel.NewDevices()
	return bounded[resourcev1.DeviceSelector](resourcev1.DeviceSelectorsMaxSize, rules.Of[resourcev1.DeviceSelector](
		rules.At("cel", rules.Check(func(c *rules.Checker, v, _ **resourcev1.CELDeviceSelector) {
			switch s := *v; {
			case s == nil:
				c.Add(field.Required(c.Path(), ""))
			case len(s.Expression) > resourcev1.CELSelectorExpressionMaxLength:
				c.Add(field.TooLong(c.At("expression"), "", resourcev1.CELSelectorExpressionMaxLength))
			default:
				checkSelector(c, devices, s.Expression)
			}
		})),
	))
}

// checkSelector compiles an expression: a stored one with all that was ever accepted.
func checkSelector(c *rules.Checker, devices *cel.Devices, expression string) {
	mode := cel.New
	if c.Updating() {
		mode = cel.Stored
	}
	cost, err := devices.Compile(expression, mode)
	var e *cel.Error
	switch {
	case errors.As(err, &e) && !cel.Ends(e):
		c.Add(field.Invalid(c.At("expression"), expression, e.Detail))
	case err != nil:
		c.Add(field.InternalError(c.At("expression"), err))
	case cost > resourcev1.CELSelectorExpressionMaxCost:
		c.Add(field.Forbidden(c.At("expression"), "too complex, exceeds cost limit"))
	}
}

// effects are what a taint can do, in the order in which messages list them.
func effects() []resourcev1.DeviceTaintEffect {
	return []resourcev1.DeviceTaintEffect{
		resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone,
	}
}

func deviceToleration() *rules.Set {
	return rules.Of[resourcev1.DeviceToleration](
		rules.At("key", rules.Optional(), labelName()),
		rules.At("", rules.Check(checkOperator)),
		rules.At("effect", rules.Optional(), rules.Enum(effects()...)),
	)
}

func checkOperator(c *rules.Checker, v, _ *resourcev1.DeviceToleration) {
	switch v.Operator {
	case resourcev1.DeviceTolerationOpExists:
		if v.Value != "" {
			c.Add(field.Invalid(c.At("value"), v.Value, "must be empty for operator `Exists`"))
		}
	case resourcev1.DeviceTolerationOpEqual:
		for _, m := range utilvalidation.IsValidLabelValue(v.Value) {
			c.Add(field.Invalid(c.At("value"), v.Value, m))
		}
	case "":
		c.Add(field.Required(c.At("operator"), ""))
	default:
		c.Add(field.NotSupported(c.At("operator"), v.Operator,
			[]resourcev1.DeviceTolerationOperator{resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists}))
	}
}

func deviceConstraint() *rules.Set {
	return rules.Of[resourcev1.DeviceConstraint](
		rules.At("requests", requestRefs()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceConstraint) {
			switch match, distinct := v.MatchAttribute, v.DistinctAttribute; {
			case match != nil:
				c.Add(fullyQualifiedName(string(*match), c.At("matchAttribute"))...)
			case distinct != nil:
				c.Add(fullyQualifiedName(string(*distinct), c.At("distinctAttribute"))...)
			default: // The message is the reference's, whatever is wrong.
				c.Add(field.Required(c.Path(), `exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`))
			}
		})),
	)
}

// checkConfig asks for configuration of at most longest bytes that a driver is named for.
func checkConfig(c *rules.Checker, v *resourcev1.DeviceConfiguration, longest int) {
	if v.Opaque == nil {
		c.Add(field.Required(c.At("opaque"), ""))
		return
	}
	at := c.At("opaque")
	if v.Opaque.Driver == "" {
		c.Add(field.Required(at.Child("driver"), ""))
	} else {
		c.Add(domain(v.Opaque.Driver, at.Child("driver"))...)
	}
	if err := checkParametersOf(at.Child("parameters"), v.Opaque.Parameters, longest); err != nil {
		c.Add(err)
	}
}

// requestNames are the names by which parts of a claim mean its requests: that of each, and those of its alternatives after a slash.
type requestNames map[string]bool

func namesOf(claim *resourcev1.DeviceClaim) *requestNames {
	names := requestNames{}
	for i := range claim.Requests {
		r := &claim.Requests[i]
		// Of two requests with the same name the later one counts.
		for known := range names {
			if strings.HasPrefix(known, r.Name+"/") {
				delete(names, known)
			}
		}
		names[r.Name] = true
		for j := range r.FirstAvailable {
			names[r.Name+"/"+r.FirstAvailable[j].Name] = true
		}
	}
	return &names
}

// knownRequests finds the names in the claim that is being checked, whether it is the claim itself or a template of one.
func knownRequests(c *rules.Checker) requestNames {
	if names := rules.Shared(c, func(v, _ *resourcev1.ResourceClaimSpec) *requestNames { return namesOf(&v.Devices) }); names != nil {
		return *names
	}
	if names := rules.Shared(c, func(v, _ *resourcev1.ResourceClaim) *requestNames { return namesOf(&v.Spec.Devices) }); names != nil {
		return *names
	}
	return nil
}

// requestRefs asks that each element of a list names a request, and none is named twice.
func requestRefs() rules.Rule {
	return boundedSet(resourcev1.DeviceRequestsMaxSize, itself, rules.Of[string](rules.At("", requestRef())))
}

func requestRef() rules.Rule {
	const unknown = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
	return rules.Check(func(c *rules.Checker, v, _ *string) {
		parts := strings.Split(*v, "/")
		if len(parts) > 2 {
			c.Add(field.Invalid(c.Path(), *v, unknown))
			return
		}
		for _, part := range parts {
			for _, m := range utilvalidation.IsDNS1123Label(part) {
				c.Add(field.Invalid(c.Path(), part, m))
			}
		}
		if !knownRequests(c)[*v] {
			c.Add(field.Invalid(c.Path(), *v, unknown))
		}
	})
}

// conditionNames asks for names that conditions have as labels do.
func conditionNames(c *rules.Checker, name string, list []string, most int) {
	if len(list) > most {
		c.Add(field.TooMany(c.At(name), len(list), most))
		return
	}
	for i, s := range list {
		c.Add(metav1validation.ValidateLabelName(s, c.At(name).Index(i))...)
	}
}

// checkBinding checks the conditions that have to hold before a pod is bound, and those on which it never will be.
func checkBinding(c *rules.Checker, conditions, failures []string) {
	conditionNames(c, "bindingConditions", conditions, resourcev1.BindingConditionsMaxSize)
	conditionNames(c, "bindingFailureConditions", failures, resourcev1.BindingFailureConditionsMaxSize)
	good, bad := map[string]bool{}, map[string]bool{}
	for i, s := range conditions {
		if good[s] {
			c.Add(field.Duplicate(c.At("bindingConditions").Index(i), s))
		}
		good[s] = true
	}
	for i, s := range failures {
		at := c.At("bindingFailureConditions").Index(i)
		if bad[s] {
			c.Add(field.Duplicate(at, s))
		}
		bad[s] = true
		if good[s] {
			c.Add(field.Invalid(at, s, "bindingFailureConditions must not overlap with bindingConditions"))
		}
	}
	if len(conditions) == 0 && len(failures) > 0 {
		c.Add(field.Invalid(c.At("bindingConditions"), conditions, "bindingConditions are required to use bindingFailureConditions"))
	}
	if len(failures) == 0 && len(conditions) > 0 {
		c.Add(field.Invalid(c.At("bindingFailureConditions"), failures, "bindingFailureConditions are required to use bindingConditions"))
	}
}
