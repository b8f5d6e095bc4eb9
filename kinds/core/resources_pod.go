package core

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// podResources are the rules of what the containers of a pod share.
func podResources() *rules.Set {
	return rules.Of[corev1.ResourceRequirements](
		rules.At("limits", RoundedUp()),
		rules.At("requests", RoundedUp()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.ResourceRequirements) {
			if spec, _ := rules.Within[corev1.PodSpec](c); spec.OS != nil && spec.OS.Name == corev1.Windows {
				c.Add(field.Forbidden(c.Path(), "may not be set for a windows pod"))
				return
			}
			checkPodResources(c, v)
		})),
	)
}

func checkPodResources(c *rules.Checker, v *corev1.ResourceRequirements) {
	if v.Claims != nil {
		c.Add(field.Forbidden(c.At("claims"), "claims may not be set for Resources at pod-level"))
	}
	checkRequirements(c, v, podResource)
	rules.In(c, claimUses(), v, nil)
	checkShares(c, v)
}

var claimUses = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.ResourceRequirements](rules.At("claims", rules.Check(checkClaimUses)))
})

// checkShares asks that the pod has what its containers want together, and that none may use more than the pod.
func checkShares(c *rules.Checker, v *corev1.ResourceRequirements) {
	spec, _ := rules.Within[corev1.PodSpec](c)
	requests := together(spec, requestsOf)
	for _, n := range sortedNames(requests) {
		want, has := requests[n], v.Requests[n]
		if _, set := v.Requests[n]; set && want.Cmp(has) > 0 {
			c.Add(field.Invalid(c.At("requests").Key(string(n)), has.String(),
				"must be greater than or equal to aggregate container requests of "+want.String()))
		}
	}
	limits := together(spec, limitsOf)
	for _, n := range sortedNames(limits) {
		want, has := limits[n], v.Limits[n]
		if _, set := v.Limits[n]; set && IsHugePages(n) && want.Cmp(has) > 0 {
			c.Add(field.Invalid(c.At("limits").Key(string(n)), has.String(),
				"must be greater than or equal to aggregate container limits of "+want.String()))
		}
	}
	for i := range spec.Containers {
		own := spec.Containers[i].Resources.Limits
		for _, n := range sortedNames(own) {
			limit, has := own[n], v.Limits[n]
			if _, set := v.Limits[n]; set && limit.Cmp(has) > 0 {
				c.Add(field.Invalid(c.At("containers").Index(i).Key(string(n)).Child("limits"), limit.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", has.String())))
			}
		}
	}
}

func requestsOf(r *corev1.ResourceRequirements) corev1.ResourceList { return r.Requests }
func limitsOf(r *corev1.ResourceRequirements) corev1.ResourceList   { return r.Limits }

// together is what the containers of a pod need at the most demanding time: either all that run side by side once the pod has started,
// or one init container beside the sidecars that were started before it.
func together(spec *corev1.PodSpec, part func(*corev1.ResourceRequirements) corev1.ResourceList) corev1.ResourceList {
	running := corev1.ResourceList{}
	for i := range spec.Containers {
		addTo(running, part(&spec.Containers[i].Resources))
	}
	sidecars, starting := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range spec.InitContainers {
		ctr := &spec.InitContainers[i]
		own := part(&ctr.Resources)
		if alwaysRestarts(ctr) {
			addTo(running, own)
			addTo(sidecars, own)
			raiseTo(starting, sidecars)
			continue
		}
		moment := sidecars.DeepCopy()
		addTo(moment, own)
		raiseTo(starting, moment)
	}
	raiseTo(running, starting)
	return running
}

func addTo(sum, list corev1.ResourceList) {
	for n, q := range list {
		total := sum[n].DeepCopy()
		total.Add(q)
		sum[n] = total
	}
}

func raiseTo(most, list corev1.ResourceList) {
	for n, q := range list {
		if has, ok := most[n]; !ok || q.Cmp(has) > 0 {
			most[n] = q.DeepCopy()
		}
	}
}
