package cluster

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// LimitRange are the rules of the bounds on single pods, containers and claims of a namespace.
func LimitRange() *rules.Kind {
	item := rules.Of[corev1.LimitRangeItem](
		rules.At("", rules.Fill(fillLimits)),
		rules.At("max", core.RoundedUp()), rules.At("min", core.RoundedUp()), rules.At("default", core.RoundedUp()),
		rules.At("defaultRequest", core.RoundedUp()), rules.At("maxLimitRequestRatio", core.RoundedUp()),
	)
	return rules.For(rules.Spec[corev1.LimitRange]{
		Fields: []rules.Entry{rules.At("spec.limits", rules.Each(item), rules.Check(checkLimits))},
		Create: func(o *corev1.LimitRange) { rules.NullIfEmpty(&o.Spec.Limits) },
		Update: func(o, _ *corev1.LimitRange) { rules.NullIfEmpty(&o.Spec.Limits) },
	})
}

// fillLimits gives containers defaults that follow from the bounds: the limit is the maximum, the request the limit, or
// else the minimum.
func fillLimits(item *corev1.LimitRangeItem) {
	if item.Type != corev1.LimitTypeContainer {
		return
	}
	fill := func(into *corev1.ResourceList, from corev1.ResourceList) {
		for name, amount := range from {
			if _, ok := (*into)[name]; ok {
				continue
			}
			if *into == nil {
				*into = corev1.ResourceList{}
			}
			(*into)[name] = amount.DeepCopy()
		}
	}
	fill(&item.Default, item.Max)
	fill(&item.DefaultRequest, item.Default)
	fill(&item.DefaultRequest, item.Min)
}

func checkLimits(c *rules.Checker, limits, _ *[]corev1.LimitRangeItem) {
	var seen []corev1.LimitType
	for i := range *limits {
		item := &(*limits)[i]
		check := limitCheck{c: c, item: item, at: func(name string) *field.Path { return c.Path().Index(i).Child(name) }}
		check.limitType()
		if slices.Contains(seen, item.Type) {
			c.Add(field.Duplicate(check.at("type"), item.Type))
		}
		seen = append(seen, item.Type)
		check.names()
		for _, name := range check.allNames() {
			check.amounts(name)
		}
	}
}

// limitCheck checks one item.
type limitCheck struct {
	c    *rules.Checker
	item *corev1.LimitRangeItem
	at   func(name string) *field.Path
}

func (l limitCheck) limitType() {
	t := l.item.Type
	messages := validation.IsQualifiedName(string(t))
	for _, m := range messages {
		l.c.Add(field.Invalid(l.at("type"), t, m))
	}
	switch t {
	case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
	default:
		if len(messages) == 0 && !hasDomain(string(t)) {
			l.c.Add(field.Invalid(l.at("type"), t, "must be a standard limit type or fully qualified"))
		}
	}
}

// names checks which resources are named where.
func (l limitCheck) names() {
	l.list("max", l.item.Max)
	l.list("min", l.item.Min)
	if l.item.Type != corev1.LimitTypePod {
		l.list("default", l.item.Default)
		l.list("defaultRequest", l.item.DefaultRequest)
	} else {
		if len(l.item.Default) > 0 {
			l.c.Add(field.Forbidden(l.at("default"), "may not be specified when `type` is 'Pod'"))
		}
		if len(l.item.DefaultRequest) > 0 {
			l.c.Add(field.Forbidden(l.at("defaultRequest"), "may not be specified when `type` is 'Pod'"))
		}
	}
	if l.item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, hasMin := l.item.Min[corev1.ResourceStorage]
		if _, hasMax := l.item.Max[corev1.ResourceStorage]; !hasMin && !hasMax {
			l.c.Add(field.Required(l.at("limits"), "either minimum or maximum storage value is required, but neither was provided"))
		}
	}
	l.list("maxLimitRequestRatio", l.item.MaxLimitRequestRatio)
}

func (l limitCheck) list(name string, list corev1.ResourceList) {
	check := core.ResourceName
	if l.item.Type == corev1.LimitTypePod || l.item.Type == corev1.LimitTypeContainer {
		check = containerResource
	}
	for _, key := range sortedKeys(list) {
		if len(check(nil, key)) > 0 {
			l.c.Add(check(l.at(name).Key(string(key)), key)...)
		}
	}
}

// allNames are the resources of which amounts are compared.
func (l limitCheck) allNames() []corev1.ResourceName {
	names := slices.Concat(sortedKeys(l.item.Max), sortedKeys(l.item.Min), sortedKeys(l.item.MaxLimitRequestRatio))
	if l.item.Type != corev1.LimitTypePod {
		names = slices.Concat(names, sortedKeys(l.item.Default), sortedKeys(l.item.DefaultRequest))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// amounts checks the order minimum, default request, default, maximum of one resource, and its ratio.
func (l limitCheck) amounts(name corev1.ResourceName) {
	low, hasLow := l.item.Min[name]
	high, hasHigh := l.item.Max[name]
	limit, hasLimit := l.item.Default[name]
	request, hasRequest := l.item.DefaultRequest[name]
	if l.item.Type == corev1.LimitTypePod {
		hasLimit, hasRequest = false, false
	}
	order := func(both bool, a, b resource.Quantity, field string, shown resource.Quantity, aName, bName string) {
		if both && a.Cmp(b) > 0 {
			l.invalid(field, name, shown, fmt.Sprintf("%s value %s is greater than %s value %s", aName, a.String(), bName, b.String()))
		}
	}
	order(hasLow && hasHigh, low, high, "min", low, "min", "max")
	order(hasRequest && hasLow, low, request, "defaultRequest", request, "min", "default request")
	order(hasRequest && hasHigh, request, high, "defaultRequest", request, "default request", "max")
	order(hasRequest && hasLimit, request, limit, "defaultRequest", request, "default request", "default limit")
	order(hasLimit && hasLow, low, limit, "default", low, "min", "default")
	order(hasLimit && hasHigh, limit, high, "default", high, "default", "max")
	l.ratio(name, low, high, hasLow && hasHigh)
	if (!core.IsNative(name) || core.IsHugePages(name)) && hasLimit && hasRequest && limit.Cmp(request) != 0 {
		l.invalid("defaultRequest", name, request,
			fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit.String(), request.String(), name))
	}
}

// ratio checks that a limit can be as many times the request as is allowed, with fractions unless the numbers are too large.
func (l limitCheck) ratio(name corev1.ResourceName, low, high resource.Quantity, bounded bool) {
	ratio, ok := l.item.MaxLimitRequestRatio[name]
	if !ok {
		return
	}
	if ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		l.invalid("maxLimitRequestRatio", name, ratio, fmt.Sprintf("ratio %s is less than 1", ratio.String()))
	}
	if !bounded {
		return
	}
	value, from, to := float64(ratio.Value()), low.Value(), high.Value()
	if ratio.Value() < resource.MaxMilliValue && from < resource.MaxMilliValue && to < resource.MaxMilliValue {
		value, from, to = float64(ratio.MilliValue())/1000, low.MilliValue(), high.MilliValue()
	}
	if most := float64(to) / float64(from); value > most {
		l.invalid("maxLimitRequestRatio", name, ratio, fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), most))
	}
}

func (l limitCheck) invalid(list string, name corev1.ResourceName, shown resource.Quantity, detail string) {
	l.c.Add(field.Invalid(l.at(list).Key(string(name)), shown, detail))
}
