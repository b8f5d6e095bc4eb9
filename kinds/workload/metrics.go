package workload

import (
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// defaultCPUPercent is what an autoscaler aims at that names no metrics.
const defaultCPUPercent = 80

func defaultMetrics(m *[]autoscalingv2.MetricSpec) {
	if len(*m) == 0 {
		*m = []autoscalingv2.MetricSpec{cpuMetric(defaultCPUPercent)}
	}
}

func cpuMetric(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
		},
	}
}

func checkMetrics(c *rules.Checker, metrics, old *[]autoscalingv2.MetricSpec) {
	rule := parsableVersion
	if old != nil && hasBadReference(*old) {
		rule = anyVersion
	}
	seesOutside := false // An autoscaler can wake what has no pods only by metrics that are not of pods.
	for i := range *metrics {
		m := &(*metrics)[i]
		seesOutside = seesOutside || m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
		checkMetric(metricChecker{c, func() *field.Path { return c.Path().Index(i) }}, m, rule)
	}
	a, _ := rules.Within[autoscalingv2.HorizontalPodAutoscaler](c)
	if a.Spec.MinReplicas != nil && *a.Spec.MinReplicas == 0 && !seesOutside {
		c.Add(field.Forbidden(c.Path(), "must specify at least one Object or External metric to support scaling to zero replicas"))
	}
}

func hasBadReference(metrics []autoscalingv2.MetricSpec) bool {
	for _, m := range metrics {
		if m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil && strings.Count(m.Object.DescribedObject.APIVersion, "/") > 1 {
			return true
		}
	}
	return false
}

// metricChecker is a place among the metrics.
type metricChecker struct {
	c  *rules.Checker
	at func() *field.Path
}

func (m metricChecker) below(name string) metricChecker {
	return metricChecker{m.c, func() *field.Path { return m.at().Child(name) }}
}

func (m metricChecker) required(name, detail string) {
	m.c.Add(field.Required(m.at().Child("target", name), detail))
}

func (m metricChecker) forbidden(name, detail string) {
	m.c.Add(field.Forbidden(m.at().Child("target", name), detail))
}

// source is one of the ways to name a metric. The first that is there is looked at, and the others are refused.
type source struct {
	typ   autoscalingv2.MetricSourceType
	name  string
	there bool
	check func(m metricChecker)
}

func checkMetric(m metricChecker, spec *autoscalingv2.MetricSpec, rule versionRule) {
	sources := m.sources(spec, rule)
	if spec.Type == "" {
		m.c.Add(field.Required(m.at().Child("type"), "must specify a metric source type"))
	}
	known := slices.ContainsFunc(sources, func(s source) bool { return s.typ == spec.Type })
	if !known {
		m.unknown(spec.Type)
	}
	present := 0
	for _, s := range sources {
		if s.there {
			if present++; present == 1 {
				s.check(m.below(s.name))
			}
		}
	}
	if !known {
		m.unknown(spec.Type) // The reference says it before and after.
	}
	for _, s := range sources {
		if s.typ == spec.Type && !s.there {
			m.c.Add(field.Required(m.at().Child(s.name), "must populate information for the given metric source"))
		}
	}
	for _, s := range sources {
		if present > 1 && s.there && s.typ != spec.Type {
			m.c.Add(field.Forbidden(m.at().Child(s.name), "must populate the given metric source only"))
		}
	}
}

func (m metricChecker) sources(spec *autoscalingv2.MetricSpec, rule versionRule) []source {
	return []source{
		{autoscalingv2.ObjectMetricSourceType, "object", spec.Object != nil, func(m metricChecker) { m.object(spec.Object, rule) }},
		{autoscalingv2.ExternalMetricSourceType, "external", spec.External != nil, func(m metricChecker) { m.external(spec.External) }},
		{autoscalingv2.PodsMetricSourceType, "pods", spec.Pods != nil, func(m metricChecker) { m.pods(spec.Pods) }},
		{autoscalingv2.ResourceMetricSourceType, "resource", spec.Resource != nil, func(m metricChecker) { m.resource(spec.Resource) }},
		{autoscalingv2.ContainerResourceMetricSourceType, "containerResource", spec.ContainerResource != nil, func(m metricChecker) {
			m.containerResource(spec.ContainerResource)
		}},
	}
}

func (m metricChecker) unknown(t autoscalingv2.MetricSourceType) {
	m.c.Add(field.NotSupported(m.at().Child("type"), t, []autoscalingv2.MetricSourceType{
		autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
		autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType,
	}))
}

func (m metricChecker) object(s *autoscalingv2.ObjectMetricSource, rule versionRule) {
	checkReference(m.c, &s.DescribedObject, rule, m.below("describedObject").at)
	m.identifier(s.Metric)
	m.target(&s.Target)
	if s.Target.Value == nil && s.Target.AverageValue == nil {
		m.required("averageValue", "must set either a target value or averageValue")
	}
}

func (m metricChecker) external(s *autoscalingv2.ExternalMetricSource) {
	m.identifier(s.Metric)
	m.target(&s.Target)
	if s.Target.Value == nil && s.Target.AverageValue == nil {
		m.required("averageValue", "must set either a target value for metric or a per-pod target")
	}
	if s.Target.Value != nil && s.Target.AverageValue != nil {
		m.forbidden("value", "may not set both a target value for metric and a per-pod target")
	}
}

func (m metricChecker) pods(s *autoscalingv2.PodsMetricSource) {
	m.identifier(s.Metric)
	m.target(&s.Target)
	if s.Target.AverageValue == nil {
		m.required("averageValue", "must specify a positive target averageValue")
	}
}

func (m metricChecker) resource(s *autoscalingv2.ResourceMetricSource) {
	if s.Name == "" {
		m.c.Add(field.Required(m.at().Child("name"), "must specify a resource name"))
	}
	m.usage(&s.Target)
}

func (m metricChecker) containerResource(s *autoscalingv2.ContainerResourceMetricSource) {
	if s.Name == "" {
		m.c.Add(field.Required(m.at().Child("name"), "must specify a resource name"))
	} else {
		m.resourceName(s.Name)
	}
	if s.Container == "" {
		m.c.Add(field.Required(m.at().Child("container"), "must specify a container"))
	}
	for _, message := range utilvalidation.IsDNS1123Label(s.Container) {
		if s.Container != "" {
			m.c.Add(field.Invalid(m.at().Child("container"), s.Container, message))
		}
	}
	m.usage(&s.Target)
}

// usage checks a target that is a share of what pods asked for or an amount.
func (m metricChecker) usage(t *autoscalingv2.MetricTarget) {
	m.target(t)
	if t.AverageUtilization == nil && t.AverageValue == nil {
		m.required("averageUtilization", "must set either a target raw value or a target utilization")
	}
	if t.AverageUtilization != nil && t.AverageValue != nil {
		m.forbidden("averageValue", "may not set both a target raw value and a target utilization")
	}
}

func (m metricChecker) resourceName(name corev1.ResourceName) {
	if len(core.ResourceName(nil, name)) > 0 {
		m.c.Add(core.ResourceName(m.at().Child("name"), name)...)
	}
	switch {
	case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage:
	case !strings.Contains(string(name), "/"):
		if !core.IsHugePages(name) {
			m.c.Add(field.Invalid(m.at().Child("name"), name, "must be a standard resource for containers"))
		}
	case !core.IsNative(name) && !core.IsExtended(name):
		m.c.Add(field.Invalid(m.at().Child("name"), name, "doesn't follow extended resource name standard"))
	}
}

func (m metricChecker) target(t *autoscalingv2.MetricTarget) {
	at := func(name string) *field.Path { return m.at().Child("target", name) }
	if t.Type == "" {
		m.c.Add(field.Required(at("type"), "must specify a metric target type"))
	}
	if t.Type != autoscalingv2.UtilizationMetricType && t.Type != autoscalingv2.ValueMetricType && t.Type != autoscalingv2.AverageValueMetricType {
		m.c.Add(field.Invalid(at("type"), t.Type, "must be either Utilization, Value, or AverageValue"))
	}
	if t.Value != nil && t.Value.Sign() != 1 {
		m.c.Add(field.Invalid(at("value"), t.Value, "must be positive"))
	}
	if t.AverageValue != nil && t.AverageValue.Sign() != 1 {
		m.c.Add(field.Invalid(at("averageValue"), t.AverageValue, "must be positive"))
	}
	if t.AverageUtilization != nil && *t.AverageUtilization < 1 {
		m.c.Add(field.Invalid(at("averageUtilization"), *t.AverageUtilization, "must be greater than 0"))
	}
}

func (m metricChecker) identifier(id autoscalingv2.MetricIdentifier) {
	checkSegment(m.c, id.Name, "must specify a metric name", m.below("metric").below("name").at)
}
