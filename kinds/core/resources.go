package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// resourceName returns what is wrong with the name of a resource.
type resourceName func(p *field.Path, name corev1.ResourceName) field.ErrorList

func containerResources() *rules.Set {
	return rules.Of[corev1.ResourceRequirements](
		rules.At("limits", RoundedUp()),
		rules.At("requests", RoundedUp()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.ResourceRequirements) { checkRequirements(c, v, containerResource) })),
		rules.At("claims", rules.Check(checkClaimUses)),
	)
}

// checkOverhead holds what a runtime needs beside the containers to the rules for what containers ask for.
func checkOverhead(c *rules.Checker, v, _ *corev1.ResourceList) {
	checkRequirements(c, &corev1.ResourceRequirements{Limits: *v}, containerResource)
}

// checkRequirements asks that amounts make sense and that nothing requests more than its limit. Huge pages are for a process that also
// has a share of cpu or memory.
func checkRequirements(c *rules.Checker, v *corev1.ResourceRequirements, name resourceName) {
	if len(v.Limits) == 0 && len(v.Requests) == 0 {
		return
	}
	for _, n := range sortedNames(v.Limits) {
		checkAmount(c, "limits", n, v.Limits[n], name)
		checkPages(c, "limits", n, v.Limits[n])
	}
	for _, n := range sortedNames(v.Requests) {
		checkAmount(c, "requests", n, v.Requests[n], name)
		checkWithin(c, n, v)
		checkPages(c, "requests", n, v.Requests[n])
	}
	if !hasAny(v, func(n corev1.ResourceName) bool { return n == corev1.ResourceCPU || n == corev1.ResourceMemory }) && hasAny(v, IsHugePages) {
		c.Add(field.Forbidden(c.Path(), "HugePages require cpu or memory"))
	}
}

func hasAny(v *corev1.ResourceRequirements, is func(corev1.ResourceName) bool) bool {
	for n := range v.Limits {
		if is(n) {
			return true
		}
	}
	for n := range v.Requests {
		if is(n) {
			return true
		}
	}
	return false
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	if len(list) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(list))
}

func checkAmount(c *rules.Checker, list string, n corev1.ResourceName, q resource.Quantity, name resourceName) {
	if len(name(nil, n)) > 0 {
		c.Add(name(c.At(list).Key(string(n)), n)...)
	}
	if len(Quantity(nil, n, q)) > 0 {
		c.Add(Quantity(c.At(list).Key(string(n)), n, q)...)
	}
}

func checkPages(c *rules.Checker, list string, n corev1.ResourceName, q resource.Quantity) {
	if IsHugePages(n) && !fillsPages(n, q) && !factsOf(c).exempt(unevenHugePages, hasUnevenHugePages) {
		c.Add(field.Invalid(c.At(list).Key(string(n)), q.String(), pagesMessage(n, q)))
	}
}

func checkWithin(c *rules.Checker, n corev1.ResourceName, v *corev1.ResourceRequirements) {
	request := v.Requests[n]
	limit, limited := v.Limits[n]
	switch {
	case !limited && !mayOvercommit(n):
		c.Add(field.Required(c.At("limits"), "Limit must be set for non overcommitable resources"))
	case limited && !mayOvercommit(n) && request.Cmp(limit) != 0:
		c.Add(field.Invalid(c.At("requests"), request.String(), fmt.Sprintf("must be equal to %s limit of %s", n, limit.String())))
	case limited && request.Cmp(limit) > 0:
		c.Add(field.Invalid(c.At("requests"), request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", n, limit.String())))
	}
}

// checkClaimUses asks that every claim that a container uses is one of the pod's, and is used once: either as a whole, or by requests of it.
func checkClaimUses(c *rules.Checker, v, _ *[]corev1.ResourceClaim) {
	known := factsOf(c).claims
	whole, requests, parts := map[string]bool{}, map[string]bool{}, map[string]int{}
	for i, use := range *v {
		if use.Name == "" {
			c.Add(field.Required(c.Path().Index(i), ""))
			continue
		}
		full := use.Name + "/" + use.Request
		if use.Request != "" && !whole[use.Name] {
			for _, m := range utilvalidation.IsDNS1123Label(use.Request) {
				c.Add(field.Invalid(c.Path().Index(i).Child("request"), use.Request, m))
			}
		}
		switch {
		case whole[use.Name]:
			c.Add(field.Duplicate(c.Path().Index(i), use.Name))
		case use.Request == "":
			for range parts[use.Name] {
				c.Add(field.Duplicate(c.Path().Index(i), use.Name))
			}
			whole[use.Name] = true
		case requests[full]:
			c.Add(field.Duplicate(c.Path().Index(i), full))
		default:
			requests[full] = true
			parts[use.Name]++
		}
		if !known[use.Name] {
			c.Add(claimNotFound(c.Path().Index(i), use.Name, known))
		}
	}
}

func claimNotFound(p *field.Path, name string, known map[string]bool) *field.Error {
	err := field.NotFound(p, name)
	err.Detail = "must be one of the names in pod.spec.resourceClaims"
	if len(known) == 0 {
		err.Detail += " which is empty"
	} else {
		err.Detail += ": " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	}
	return err
}
